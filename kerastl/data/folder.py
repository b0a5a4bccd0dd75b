"""`folder:PATH`: one sub-folder of images per class, with or without train, val and test above them.

The folder is listed, then every image is opened once (`cache`), so that whatever is wrong is told before training begins.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerastl.data.cache import keep
from kerastl.data.images import EncodedImages, Images, Source
from kerastl.data.layout import layout_of
from kerastl.data.walk import image_suffixes, is_litter, leads_out
from kerastl.errors import KerastlWarning, MissingData, UserError, shortened
from kerastl.text import valid

SHOWN = 10


@dataclass(frozen=True)
class Listing:
    """What is in a folder of images, before any of them is opened.

    Args:
        root: the folder.
        class_names: in label order.
        files: the paths of each split there is a folder for, sorted within each class.
        labels: of these files, an int64 array for each split.
        ignored: files in class folders that are neither images nor litter.
        left_out: whatever else is not read, a sentence each.
        problems: what training refuses, a sentence each.
    """

    root: Path
    class_names: tuple[str, ...]
    files: dict
    labels: dict
    ignored: tuple[Path, ...]
    left_out: tuple[str, ...]
    problems: tuple[str, ...]

    def name(self, path):
        """The path of a file within the folder."""
        return valid(path.relative_to(self.root).as_posix())


def load_folder(spec, image_size):
    """Read a folder of images.

    Args:
        spec: a `DataSpec` whose name is `folder:PATH`; a relative PATH is looked for in `dir` when that is given.
            With `on_error = "skip"`, broken images are left out.
        image_size: side in pixels at which the images are kept: the middle square, EXIF rotation honoured, RGB.

    Returns:
        A `Source`; splits for which there is no folder are None.

    Raises:
        MissingData: there is no such folder.
        UserError: no class folders, an empty one, classes that differ between splits, a link that leads out of the folder,
            broken images, or a class of nothing else.
    """
    listing = list_folder(Path(spec.dir) / spec.name.removeprefix("folder:"), spec.splits)
    if listing.problems:
        raise UserError("\n".join(shortened(listing.problems)))
    if listing.ignored:
        first = listing.name(listing.ignored[0])
        told = f"{listing.root}: {len(listing.ignored):,} files in class folders have no suffix of an image and are not read, as {first}"
        warnings.warn(told, KerastlWarning, stacklevel=3)
    for told in listing.left_out:
        warnings.warn(told, KerastlWarning, stacklevel=3)
    paths = [path for files in listing.files.values() for path in files]
    pixels, digests, broken = keep(EncodedImages(paths, image_size), spec, paths)
    if broken:
        _tell(listing, {paths[place]: why for place, why in broken.items()}, skip=spec.on_error == "skip")
    images = Images(pixels, np.concatenate(list(listing.labels.values())), digests, np.array(paths, object))
    splits, start = {}, 0
    for split, files in listing.files.items():
        places = range(start, start := start + len(files))
        splits[split] = _without(listing, split, images, places, broken)
    return Source(
        tuple(map(valid, listing.class_names)), **splits, skipped=tuple(listing.name(paths[place]) for place in broken)
    )


def list_folder(root, splits="auto"):
    """Find the images of a folder.

    Links are followed once, and never out of the folder.

    Args:
        root: its path.
        splits: as data.splits.

    Returns:
        A `Listing`.

    Raises:
        MissingData: there is no such folder.
    """
    if root.is_file():
        unpack = (
            f"; unpack it first: python -m zipfile -e {root} {root.with_suffix('')}"
            if root.suffix.lower() == ".zip"
            else ""
        )
        raise MissingData(f"{root}: is a file; expected a folder with one sub-folder of images for each class{unpack}")
    if not root.is_dir():
        raise MissingData(f"{root}: no such folder; expected one sub-folder of images for each class")
    layout = layout_of(root, splits)
    folders, problems = layout.folders, list(layout.problems)
    if out := [told for folder in folders.values() if (told := _leads_out(folder, root))]:
        return Listing(root, (), {}, {}, (), layout.left_out, tuple(problems + out))
    class_names = tuple(layout.classes["train"])
    if len(class_names) < 2 and not problems:
        problems.append(_too_few(folders["train"], class_names))
    for split, folder in list(folders.items())[1:]:
        there = layout.classes[split]
        if unknown := sorted(set(there) - set(class_names)):
            told = ", ".join(shortened(unknown))
            problems.append(f"{folder}: found the classes {told}, which {folders['train']} has not")
        if not there:
            problems.append(f"{folder}: found no class folders; expected some of those of {folders['train']}")
    files, labels, ignored = {}, {}, []
    for split in folders:
        files[split], labels[split] = [], []
        for label, name in enumerate(class_names):
            if name in layout.classes[split]:
                images, others = _class_files(layout.classes[split][name], root, problems)
                files[split] += images
                labels[split] += [label] * len(images)
                ignored += others
    labels = {split: np.array(some, dtype=np.int64) for split, some in labels.items()}
    return Listing(root, class_names, files, labels, tuple(ignored), layout.left_out, tuple(problems))


def _too_few(folder, class_names):
    """What is said of fewer than two class folders; of one with folders in it, that those may be meant."""
    found = (
        f"{folder}: found the class folders {', '.join(class_names) or 'none'}; expected two or more, each with images"
    )
    inner = [
        path for name in class_names for path in (folder / name).iterdir() if path.is_dir() and not is_litter(path.name)
    ]
    return (
        f"{found}; if its folders are the classes, name it: folder:{folder / class_names[0]}"
        if len(inner) > 1
        else found
    )


def _class_files(folder, root, problems):
    """The images of one class, and the other files; problems are added to the list."""
    if told := _leads_out(folder, root):
        problems.append(told)
        return [], []
    suffixes = image_suffixes()
    every = sorted(_walk(folder, root, problems))
    images = [path for path in every if path.suffix.lower() in suffixes]
    if not images:
        problems.append(f"{folder}: found no image; expected files such as .jpg or .png, or no such folder")
    return images, [path for path in every if path.suffix.lower() not in suffixes]


def _walk(folder, root, problems):
    """The files below a folder but litter, in no order; links that lead out of the dataset become problems."""
    real = Path(os.path.realpath(folder))
    seen = {real, *real.parents}  # a link back to one of these is a loop
    waiting = list(folder.iterdir())
    while waiting:
        path = waiting.pop()
        if is_litter(path.name):
            continue
        if told := _leads_out(path, root):
            problems.append(told)
        elif not path.is_dir():
            yield path
        elif (real := Path(os.path.realpath(path))) not in seen:
            seen.add(real)
            waiting += path.iterdir()


def _leads_out(path, root):
    """What is wrong with a link, or None."""
    target = None if path == root else leads_out(path, os.path.realpath(root))
    return (
        target
        and f"{path}: a link to {target}, outside {root}; copy what it points to, or let data.name be the real folder"
    )


def _tell(listing, broken, skip):
    """Refuse broken images, or warn that they are left out."""
    every = sum(map(len, listing.files.values()))
    head = f"{listing.root}: {len(broken):,} of {every:,} images cannot be read"
    if skip:
        first = listing.name(next(iter(broken)))
        told = f"{head} and are left out, as {first}; metrics.json lists them under data.skipped"
        warnings.warn(told, KerastlWarning, stacklevel=4)
        return
    lines = [f"  {listing.name(path)}: {why}" for path, why in list(broken.items())[:SHOWN]]
    more = [f"  and {len(broken) - SHOWN:,} more"] if len(broken) > SHOWN else []
    remedy = 'Replace them, take them out, or leave them out with data.on_error = "skip"'
    raise UserError("\n".join([f"{head}:", *lines, *more, remedy]))


def _without(listing, split, images, places, broken):
    """The images of a split, which stand at some places of all, without the broken ones."""
    whole = images.subset(slice(places.start, places.stop))
    if broken.keys().isdisjoint(places):
        return whole
    sound = whole.subset([place - places.start for place in places if place not in broken])
    if lost := sorted(set(whole.labels) - set(sound.labels)):
        name = listing.class_names[lost[0]]
        raise UserError(
            f"{listing.root}: none of the {split} images of {name} can be read; replace them, or take the class out"
        )
    return sound
