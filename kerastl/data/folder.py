"""`folder:PATH`: one sub-folder of images per class, with or without train, val and test above them."""

from pathlib import Path

import numpy as np
from PIL import Image

from kerastl.data.images import EncodedImages, Images, Source
from kerastl.errors import MissingData, UserError

SPLITS = {"train": ("train", "training"), "validation": ("val", "valid", "validation"), "test": ("test", "testing")}
IN_MEMORY = 2 * 2**30  # bytes of pixels that are decoded once; larger folders are read a batch at a time


def load_folder(spec, image_size):
    """Read a folder of images.

    Args:
        spec: a `DataSpec` whose name is `folder:PATH`; a relative PATH is looked for in `dir` when that is given.
        image_size: side in pixels at which the images are kept: the middle square, EXIF rotation honoured, RGB.

    Returns:
        A `Source`; splits for which there is no folder are None.

    Raises:
        MissingData: there is no such folder.
        UserError: no class folders, an empty one, classes that differ between splits, or a broken image.
    """
    root = Path(spec.dir) / spec.name.removeprefix("folder:")
    if not root.is_dir():
        raise MissingData(f"{root}: no such folder; expected one sub-folder of images for each class")
    split_folders = {split: _first_there(root, aliases) for split, aliases in SPLITS.items()}
    train_folder = split_folders["train"] or root
    class_names = tuple(_class_folders(train_folder))
    if len(class_names) < 2:
        found = ", ".join(class_names) or "none"
        raise UserError(f"{train_folder}: found the class folders {found}; expected two or more, each with images")
    for folder in split_folders.values():
        if folder and set(_class_folders(folder)) - set(class_names):
            unknown = ", ".join(sorted(set(_class_folders(folder)) - set(class_names)))
            raise UserError(f"{folder}: found the classes {unknown}, which {train_folder} has not")
    folders = {split: folder for split, folder in split_folders.items() if folder} | {"train": train_folder}
    encoded = {split: _find_images(folder, class_names, image_size) for split, folder in folders.items()}
    in_memory = sum(np.prod(images.pixels.shape, dtype=np.int64) for images in encoded.values()) <= IN_MEMORY
    return Source(
        class_names, **{split: _decoded(images) if in_memory else images for split, images in encoded.items()}
    )


def _first_there(root, aliases):
    return next((root / alias for alias in aliases if (root / alias).is_dir()), None)


def _class_folders(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _find_images(folder, class_names, image_size):
    known = set(Image.registered_extensions())
    paths, labels = [], []
    for label, name in enumerate(class_names):
        files = sorted(
            p for p in (folder / name).rglob("*") if p.suffix.lower() in known and not p.name.startswith(".")
        )
        if not files and (folder / name).is_dir():
            raise UserError(f"{folder / name}: found no image; expected files such as .jpg or .png, or no such folder")
        paths += files
        labels += [label] * len(files)
    return Images(EncodedImages(paths, image_size), np.array(labels, dtype=np.int64))


def _decoded(images):
    return Images(images.pixels[:], images.labels)
