"""`check`: what is in a dataset, and what is wrong with it, before hours are spent. Nothing is written.

Images are opened one at a time, and of each only a few numbers are kept.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kerastl.data.alike import SIDE, near_pairs, perceptual_hash
from kerastl.data.decode import as_rgb, digest, opened
from kerastl.data.folder import list_folder
from kerastl.data.images import Images, Source
from kerastl.data.load import SOURCES, source_of
from kerastl.data.records import Record
from kerastl.data.split import split
from kerastl.data.threads import in_threads
from kerastl.errors import BrokenImage, RecipeError, UserError
from kerastl.schema import DataSpec
from kerastl.text import valid


class Item(NamedTuple):
    """One image to look at: a path, a record or an array, and where it stands."""

    image: Path | Record | np.ndarray
    file: str
    split: str
    label: int


class Look(NamedTuple):
    """What is kept of one image: why it cannot be read, or the rest; `hash` is None where it is flat."""

    file: str
    split: str
    label: int
    broken: str | None
    digest: bytes | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    format: str | None = None
    hash: np.uint64 | None = None


def check(name, dir="", splits="auto"):
    """Inspect a dataset before training: counts, sizes, broken files, duplicates, hints of wrong labels.

    Args:
        name: a folder of class folders (with or without train, val and test above them), or what a recipe has as data.name.
        dir: folder that holds the data, as data.dir.
        splits: of a folder, as data.splits: "none" takes every sub-folder for a class.

    Returns:
        A dict, ready for JSON. `refused` lists what training would refuse, with the defaults of a recipe, and `usable` says
        that it is empty. `left_out` names folders and images that are not read. `pairs` has the exact and near duplicates, each
        with two files, their splits and their labels; where the labels differ, one of them is likely wrong.

    Raises:
        UserError: no such dataset, or one that cannot be listed.

    Example:
        >>> found = check("digits")
        >>> found["splits"]["train"]["images"], found["usable"]
        (1797, True)
    """
    names, items, ignored, left_out, refused = _listed(name, dir, splits)
    looks = list(in_threads(_look, items, "look at every image"))
    broken = [look for look in looks if look.broken]
    sound = [look for look in looks if not look.broken]
    if broken:
        refused.append(f"{len(broken):,} of {len(looks):,} images cannot be read")
    refused += [] if refused else _refused_by_split(name, names, sound)
    pairs = _pairs(sound, names)
    splits = list(dict.fromkeys(look.split for look in looks))
    return {
        "data": name,
        "usable": not refused,
        "refused": refused,
        "splits": {part: _counts([look.label for look in sound if look.split == part], names) for part in splits},
        "sizes": {side: _spread([getattr(look, side) for look in sound]) for side in ("width", "height")},
        "modes": dict(Counter(look.mode for look in sound).most_common()),
        "formats": dict(Counter(look.format for look in sound).most_common()),
        "broken": [{"file": look.file, "reason": look.broken} for look in broken],
        "ignored": ignored,
        "left_out": left_out,
        "flat": sum(look.hash is None for look in sound),
        "duplicates": {
            kind: dict(Counter("-".join(dict.fromkeys(pair["splits"])) for pair in pairs if pair["kind"] == kind))
            for kind in ("exact", "near")
        },
        "pairs": pairs,
    }


def _listed(name, dir, splits):
    """Class names, the `Item`s of all splits, how many other files there are, what else is left out, and what is refused already."""
    folder = Path(dir) / name.removeprefix("folder:")
    if name.startswith("folder:") or (name not in SOURCES and folder.is_dir()):
        it = list_folder(folder, splits)
        items = [
            Item(path, it.name(path), part, int(label))
            for part, paths in it.files.items()
            for path, label in zip(paths, it.labels[part], strict=True)
        ]
        return tuple(map(valid, it.class_names)), items, len(it.ignored), list(it.left_out), list(it.problems)
    spec = DataSpec(name, dir=str(dir), cache="none")
    try:
        read = SOURCES[source_of(spec)]
    except RecipeError as error:
        raise UserError(f"{folder}: no such folder; and as a dataset: {error}") from None
    source = read(spec, SIDE, 0)
    items = [
        Item(pixels, f"{part}[{place}]", part, int(images.labels[place]))
        for part in ("train", "validation", "test")
        if (images := getattr(source, part))
        for place, pixels in enumerate(getattr(images.pixels, "items", images.pixels))
    ]
    return source.class_names, items, 0, [], []


def _look(item):
    try:
        seen = _seen(item.image)
        return Look(*item[1:], None, digest(item.image), *seen)
    except BrokenImage as error:
        return Look(*item[1:], str(error))


def _seen(image):
    """Width, height, mode, format and hash."""
    if isinstance(image, np.ndarray):
        drawn = Image.fromarray(image)
        return *drawn.size, drawn.mode, "array", perceptual_hash(drawn)
    with opened(image) as file:
        about = (*file.size, file.mode, file.format)
        file.draft(None, (2 * SIDE, 2 * SIDE))  # a JPEG is decoded no larger than the hash needs
        return *about, perceptual_hash(as_rgb(file))


def _refused_by_split(name, class_names, looks):
    """What the split of a recipe with all defaults says; of an image it asks for no more than the digest."""
    parts = {}
    for part in dict.fromkeys(look.split for look in looks):
        digests = np.frombuffer(b"".join(look.digest for look in looks if look.split == part), np.uint8).reshape(-1, 16)
        parts[part] = Images(digests, np.array([look.label for look in looks if look.split == part]))
    try:
        split(Source(class_names, **parts), DataSpec(name), 0)
    except UserError as error:
        return [str(error)]
    return []


def _pairs(looks, names):
    """Exact duplicates and near ones, those with the same hash each with the first: a film is not all its frames squared."""
    exact, different = _with_first((look.digest, i) for i, look in enumerate(looks))
    same, hashed = _with_first((looks[i].hash, i) for i in different if looks[i].hash is not None)
    near = near_pairs(np.array([looks[i].hash for i in hashed], np.uint64))
    near = sorted(same + [(hashed[a], hashed[b]) for a, b in near])
    return [
        {
            "kind": kind,
            "files": [looks[i].file for i in pair],
            "splits": [looks[i].split for i in pair],
            "labels": [names[looks[i].label] for i in pair],
        }
        for kind, found in (("exact", exact), ("near", near))
        for pair in found
    ]


def _with_first(keyed):
    """Pairs of each place and the first one with its key, and those first ones."""
    first = {}
    pairs = [(first[key], place) for key, place in keyed if first.setdefault(key, place) != place]
    return pairs, list(first.values())


def _counts(labels, names):
    each = np.bincount(labels, minlength=len(names)) if labels else np.zeros(len(names), int)
    balance = round(float(each.max() / each.min()), 2) if each.size and each.min() else None
    return {"images": len(labels), "balance": balance, "classes": dict(zip(names, each.tolist(), strict=True))}


def _spread(numbers):
    return {"min": min(numbers), "median": float(np.median(numbers)), "max": max(numbers)} if numbers else None
