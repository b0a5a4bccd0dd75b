"""What every source gives and every later step takes: labelled images, in memory or on disk."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageOps

from kerastl.errors import UserError


class EncodedImages:
    """Image files read when they are asked for, as an array would give them.

    Any format and mode that Pillow opens; EXIF rotation is honoured, everything becomes RGB, and the middle is cut to a
    square of one size, so that batches can be stacked.

    Args:
        items: file paths, or the bytes of encoded images.
        size: side in pixels of what comes out.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, items, size):
        self.items, self.size = list(items), size

    @property
    def shape(self):
        return (len(self.items), self.size, self.size, 3)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, chosen):
        """uint8 images of shape (n, size, size, 3) for an array of places or a slice."""
        places = np.arange(len(self))[chosen]
        return (
            np.stack([decode(self.items[i], self.size) for i in places])
            if len(places)
            else np.zeros((0, *self.shape[1:]), np.uint8)
        )

    def subset(self, places):
        return EncodedImages([self.items[i] for i in places], self.size)

    def raw(self, place):
        """The bytes of one item as they are stored."""
        item = self.items[place]
        return item if isinstance(item, bytes) else item.read_bytes()


@dataclass(frozen=True)
class Images:
    """Labelled images of one split.

    Args:
        pixels: uint8 array of shape (n, height, width, 3), or `EncodedImages`; after the frozen layers, what these made of
            them: an array or `StoredRows`.
        labels: int64 array of shape (n,).
    """

    pixels: np.ndarray | EncodedImages
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self):
        """Height, width and channels of one image."""
        return tuple(self.pixels.shape[1:])

    def subset(self, places):
        places = np.asarray(places, dtype=np.int64)
        in_memory = isinstance(self.pixels, np.ndarray)
        return Images(self.pixels[places] if in_memory else self.pixels.subset(places), self.labels[places])

    def joined(self, others):
        """These images and then the others."""
        both = (self.pixels, others.pixels)
        if all(isinstance(pixels, np.ndarray) for pixels in both):
            pixels = np.concatenate(both)
        else:
            pixels = EncodedImages([item for one in both for item in one.items], self.pixels.size)
        return Images(pixels, np.concatenate([self.labels, others.labels]))

    @cached_property
    def digests(self):
        """16 bytes for each image, alike only for exact duplicates: an array of shape (n,), dtype V16."""
        in_memory = isinstance(self.pixels, np.ndarray)
        every = (self.pixels[place] if in_memory else self.pixels.raw(place) for place in range(len(self)))
        digests = b"".join(
            hashlib.blake2b(np.ascontiguousarray(one) if in_memory else one, digest_size=16).digest() for one in every
        )
        return np.frombuffer(digests, dtype="V16")


@dataclass(frozen=True)
class Source:
    """What a dataset offers before kerastl splits it; splits it lacks are None.

    Args:
        superclasses: for each class, the name of the coarser class it belongs to, where the dataset has them.
    """

    class_names: tuple[str, ...]
    train: Images
    validation: Images | None = None
    test: Images | None = None
    superclasses: tuple[str, ...] | None = None


def decode(item, size):
    """One image file or its bytes as a uint8 array of shape (size, size, 3)."""
    try:
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        name = "an image" if isinstance(item, bytes) else item
        raise UserError(
            f"{name}: cannot be read as an image ({error}); replace it or take it out of the dataset"
        ) from None
