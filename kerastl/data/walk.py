"""The images below a folder, one after another, however many there are."""

import os
from pathlib import Path

from PIL import Image

from kerastl.data.decode import FOREIGN
from kerastl.errors import BrokenImage, UserError

LITTER = {"thumbs.db", "desktop.ini", "icon\r"}  # what file managers leave behind; hidden files are litter too


def is_litter(name):
    return name.startswith(".") or name.lower() in LITTER


def image_suffixes():
    """The suffixes, in lower case, of files that are taken for images."""
    return FOREIGN | set(Image.registered_extensions())


def refuse_missing(path):
    if not Path(path).exists():
        raise UserError(f"{path}: no such file or folder; expected an image, or a folder of images")


def images_below(folder):
    """Find the images below a folder, in the order of their names.

    Only the names in the folder at hand, and in those above it, are held. Links are followed, but never in a circle.

    Args:
        folder: its path.

    Yields:
        Pairs of a path and None; for a folder that cannot be listed, its path and a `BrokenImage` that says why.
    """
    yield from _below(Path(folder), image_suffixes(), ())


def _below(folder, suffixes, above):
    real = os.path.realpath(folder)
    if real in above:
        return
    folders = set()
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _counts(entry, suffixes, folders)]
    except OSError as error:
        yield folder, BrokenImage(f"cannot be listed: {error.strerror}")
        return
    names.sort(reverse=True)
    while names:
        name = names.pop()
        if name in folders:
            yield from _below(folder / name, suffixes, (*above, real))
        else:
            yield folder / name, None


def _counts(entry, suffixes, folders):
    """Whether an entry is a folder or an image; folders are noted."""
    if is_litter(entry.name):
        return False
    if entry.is_dir():
        folders.add(entry.name)
        return True
    return os.path.splitext(entry.name)[1].lower() in suffixes  # noqa: PTH122
