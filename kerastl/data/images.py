"""What every source gives and every later step takes: labelled images, in memory or on disk."""

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kerastl.data.decode import DIGEST, decode, digest
from kerastl.errors import BrokenImage, UserError
from kerastl.text import valid


class EncodedImages:
    """Encoded images read when they are asked for, as an array would give them: some places of a sequence, in any order.

    Any format and mode that `decode` takes, as the middle square of one size, so that batches can be stacked.

    Args:
        items: a sequence of file paths, of the bytes of encoded images, or of whatever else has `read_bytes`.
        size: side in pixels of what comes out, or its height and width.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, items, size):
        self.sequence, self.size, self.places = items, size, np.arange(len(items))

    @property
    def items(self):
        return [self.sequence[place] for place in self.places]

    @property
    def shape(self):
        return (len(self), *np.broadcast_to(self.size, 2).tolist(), 3)

    @property
    def nbytes(self):
        return math.prod(self.shape)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, chosen):
        """uint8 images of shape (n, height, width, 3) for an array of places or a slice."""
        pixels = [self._decoded(self.sequence[place]) for place in self.places[chosen]]
        return np.stack(pixels) if pixels else np.zeros((0, *self.shape[1:]), np.uint8)

    def subset(self, chosen):
        return self._at(self.places[chosen])

    def joined(self, others):
        """These images and then the others, of the same size."""
        if self.sequence is others.sequence:
            return self._at(np.concatenate([self.places, others.places]))
        return EncodedImages([*self.items, *others.items], self.size)

    def _at(self, places):
        some = copy.copy(self)
        some.places = places
        return some

    def _decoded(self, item):
        try:
            return decode(item, self.size)
        except BrokenImage as error:
            name = "an image" if isinstance(item, bytes) else item
            raise UserError(
                f"{name}: cannot be read as an image ({error}); replace it or take it out of the dataset"
            ) from None


@dataclass(frozen=True)
class Images:
    """Labelled images of one split.

    Args:
        pixels: uint8 array of shape (n, height, width, 3), or `EncodedImages`; after the frozen layers, what these made of
            them: an array or `StoredRows`.
        labels: int64 array of shape (n,).
        known: the digests, where they were taken when the images were read; absent, they are taken of the pixels.
        files: their paths, an array of objects, where the source is files of one image each.
    """

    pixels: np.ndarray | EncodedImages
    labels: np.ndarray
    known: np.ndarray | None = None
    files: np.ndarray | None = None

    def __len__(self):
        return len(self.labels)

    @property
    def shape(self):
        """Height, width and channels of one image."""
        return tuple(self.pixels.shape[1:])

    def subset(self, places):
        """The images at some places, an array or a slice; a slice of an array shares its memory."""
        places = places if isinstance(places, slice) else np.asarray(places, dtype=np.int64)
        in_memory = isinstance(self.pixels, np.ndarray)
        pixels = self.pixels[places] if in_memory else self.pixels.subset(places)
        known, files = (None if it is None else it[places] for it in (self.known, self.files))
        return Images(pixels, self.labels[places], known, files)

    def joined(self, others):
        """These images and then the others."""
        in_memory = isinstance(self.pixels, np.ndarray)
        pixels = np.concatenate([self.pixels, others.pixels]) if in_memory else self.pixels.joined(others.pixels)
        known = None if self.known is None else np.concatenate([self.digests, others.digests])
        files = None if self.files is None else np.concatenate([self.files, others.files])
        return Images(pixels, np.concatenate([self.labels, others.labels]), known, files)

    def name(self, place):
        """What one of them is called: the path of its file, or, without files, its place as a number."""
        return int(place) if self.files is None else valid(str(self.files[place]))

    @cached_property
    def digests(self):
        """16 bytes for each image, alike only for exact duplicates: an array of shape (n,), dtype V16."""
        if self.known is not None:
            return self.known
        every = self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.items
        return np.frombuffer(b"".join(map(digest, every)), dtype=DIGEST)


@dataclass(frozen=True)
class Source:
    """What a dataset offers before kerastl splits it; splits it lacks are None.

    Args:
        superclasses: for each class, the name of the coarser class it belongs to, where the dataset has them.
        skipped: names of the images that were left out because they are broken.

    Raises:
        UserError: fewer than two classes, a split without images, or a label that is no class.
    """

    class_names: tuple[str, ...]
    train: Images
    validation: Images | None = None
    test: Images | None = None
    superclasses: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()

    def __post_init__(self):
        classes = len(self.class_names)
        if classes < 2:
            raise UserError(f"found the classes {', '.join(self.class_names) or 'none'}; expected two or more")
        for name, images in (("training", self.train), ("validation", self.validation), ("test", self.test)):
            if images is not None:
                _check_labels(name, images, classes)


def _check_labels(name, images, classes):
    labels = images.labels
    expected = f"expected whole numbers from 0 to {classes - 1}, as there are {classes} classes"
    if not len(labels) or len(labels) != len(images.pixels):
        raise UserError(
            f"found {len(images.pixels)} {name} images and {len(labels)} labels; expected as many of both, and some"
        )
    numbers = labels if labels.dtype.kind in "iuf" else np.zeros(len(labels))
    wrong = np.flatnonzero((numbers < 0) | (numbers >= classes) | (numbers % 1 != 0))
    if len(wrong):
        others = f" (so have {len(wrong) - 1:,} others)" if len(wrong) > 1 else ""
        raise UserError(
            f"{name} image {wrong[0]} has the label {labels[wrong[0]]}{others}; {expected}: correct the labels, or the "
            "list of classes"
        )
    if labels.dtype.kind not in "iu":
        raise UserError(f"found {name} labels of type {labels.dtype}; {expected}")
