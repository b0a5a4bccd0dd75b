"""The images below a folder, one after another, however many there are."""

import os
from pathlib import Path

from PIL import Image

from kerastl.data.decode import FOREIGN
from kerastl.errors import BrokenImage, UserError

# What systems and file managers leave behind, files and folders, in lower case; hidden ones are litter too.
LITTER = {
    *(
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__macosx",
        "$recycle.bin",
        "recycler",
        "recycled",
        "lost+found",
    ),
    *("system volume information", "@eadir", "@recycle", "#recycle", "#snapshot", "@recently-snapshot", "__pycache__"),
}


def is_litter(name):
    """Whether a file or folder of this name is none of the user's photos."""
    return name.startswith((".", "~$")) or name.casefold().strip(" ") in LITTER


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
