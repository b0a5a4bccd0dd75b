"""Arrays of images as a folder of class folders, so that a recipe can name them, and repeat them tomorrow.

(images, labels) -> checked -> a digest of all of it -> PNG files, which lose nothing, written once
"""

import hashlib

import numpy as np
from PIL import Image

from kerastl.data.home import home
from kerastl.errors import UserError
from kerastl.files import whole

FOLDER = "arrays"  # in `home`


def folder_of_arrays(source):
    """Keep arrays of images as a folder of class folders.

    Args:
        source: a tuple (images, labels): images a uint8 array of shape (n, height, width, 3), or without the last axis or with 1
            there for grey ones; labels n numbers or texts.

    Returns:
        The `Path` of the folder, the same for the same arrays.

    Raises:
        UserError: other shapes or types, or labels that cannot be the name of a folder.

    Example:
        >>> images = np.zeros((2, 8, 8, 3), np.uint8)
        >>> folder_of_arrays((images, ["cat", "dog"]))  # doctest: +SKIP
        PosixPath('/home/me/.keras/kerastl/arrays/5f0c.../images')
    """
    images, names = _checked(source)
    digest = hashlib.blake2b(repr((images.shape, names)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(images))
    folder = home() / FOLDER / digest.hexdigest() / "images"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole(folder) as root:
            for name in sorted(set(names)):
                (root / name).mkdir(parents=True)
            digits = len(str(len(names)))
            for number, (image, name) in enumerate(zip(images, names, strict=True)):
                Image.fromarray(image).save(root / name / f"{number:0{digits}d}.png", compress_level=1)
    return folder


def _checked(source):
    """Images that Pillow writes, and for each the name of its class."""
    if len(source) != 2:
        raise UserError(f"arrays: found a tuple of {len(source)}; expected (images, labels)")
    images, labels = (np.asarray(it) for it in source)
    if images.dtype != np.uint8:
        raise UserError(
            f"images: found {images.dtype}; expected uint8 from 0 to 255: of numbers from 0 to 1 (images * 255).round().astype('uint8')"
        )
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] == 3)) or not images.size:
        raise UserError(f"images: found the shape {images.shape}; expected (n, height, width, 3), or 1 for grey ones")
    labels = labels.reshape(-1) if labels.shape == (len(images), 1) else labels  # as keras.datasets has them
    if labels.shape != (len(images),):
        raise UserError(f"labels: found the shape {labels.shape} for {len(images):,} images; expected ({len(images)},)")
    if labels.dtype.kind in "iu":
        digits = len(str(labels.max()))  # so that the classes stand in the order of their numbers
        names = [f"{label:0{digits}d}" for label in labels.tolist()]
    else:
        names = [str(label) for label in labels]
    for name in sorted(set(names)):
        if not name or name[0] in ".~-" or not name.isprintable() or any(it in name for it in '/\\:*?"<>|'):
            raise UserError(f"labels: found {name!r}; expected numbers from 0 on, or plain names of classes")
    return images, names
