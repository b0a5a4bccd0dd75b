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

    Only the names in the folder at hand, and in those above it, are held. Links to folders are not followed: what they point to
    is found at its own place, or stands outside the folder that was asked for.

    Args:
        folder: its path.

    Yields:
        Pairs of a path and None; for a folder that cannot be listed, and for a link that leads out of the folder, its path and a
        `BrokenImage` that says why.
    """
    yield from _below(Path(folder), image_suffixes(), os.path.realpath(folder))


def leads_out(path, root):
    """Where a link leads that leaves a folder; None for all else.

    Args:
        path: which may be a link.
        root: the real path of the folder.
    """
    if not Path(path).is_symlink():
        return None
    target = Path(os.path.realpath(path))
    return None if target.is_relative_to(root) else target


def _below(folder, suffixes, root):
    folders = set()
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _counts(entry, suffixes, folders)]
    except OSError as error:
        yield folder, BrokenImage(f"cannot be listed: {error.strerror}")
        return
    names.sort(reverse=True)
    while names:
        path = folder / names.pop()
        if target := leads_out(path, root):
            yield path, BrokenImage(f"a link to {target}, outside the folder that was given; copy what it points to")
        elif path.name not in folders:
            yield path, None
        elif not path.is_symlink():
            yield from _below(path, suffixes, root)


def _counts(entry, suffixes, folders):
    """Whether an entry is a folder or an image; folders are noted."""
    if is_litter(entry.name):
        return False
    if entry.is_dir():
        folders.add(entry.name)
        return True
    return os.path.splitext(entry.name)[1].lower() in suffixes  # noqa: PTH122
