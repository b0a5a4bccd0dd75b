"""What every source gives and every later step takes: labelled images, in memory or on disk."""

import contextlib
import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.pool import ThreadPool

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from kerastl.errors import BrokenImage, UserError, brief

# Formats of images, as suffixes, that Pillow opens only with a plugin, or not for what they are: a raw photo as its thumbnail.
FOREIGN = frozenset(
    f".{name}"
    for name in "heic heif hif jxl svg svgz ai cr2 cr3 nef arw raf orf rw2 dng exr hdr xcf psb jxr wdp dcm".split()
)
CONVERT = "convert it to JPEG or PNG"
TOO_LARGE = "more pixels than Pillow takes for safe (PIL.Image.MAX_IMAGE_PIXELS): make it smaller"
REASONS = {
    UnidentifiedImageError: f"not an image, or of a format that Pillow cannot open: {CONVERT}",
    Image.DecompressionBombError: TOO_LARGE,
    Image.DecompressionBombWarning: TOO_LARGE,
}


class EncodedImages:
    """Image files read when they are asked for, as an array would give them.

    Any format and mode that `decode` takes, as the middle square of one size, so that batches can be stacked.

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
            np.stack([self._decoded(self.items[i]) for i in places])
            if len(places)
            else np.zeros((0, *self.shape[1:]), np.uint8)
        )

    def subset(self, places):
        return EncodedImages([self.items[i] for i in places], self.size)

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
        every = self.pixels if isinstance(self.pixels, np.ndarray) else self.pixels.items
        return np.frombuffer(b"".join(map(digest, every)), dtype="V16")


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


def digest(item):
    """16 bytes that stand for an image as it is stored: a file, its bytes, or an array."""
    if not isinstance(item, bytes):
        item = np.ascontiguousarray(item) if isinstance(item, np.ndarray) else item.read_bytes()
    return hashlib.blake2b(item, digest_size=16).digest()


def decode(item, size):
    """The middle square of one image: the first frame, upright as EXIF says, in RGB as `as_rgb` makes it.

    Args:
        item: file path, or the bytes of an encoded image.
        size: side in pixels of what comes out.

    Returns:
        uint8 array of shape (size, size, 3).

    Raises:
        BrokenImage: with the reason.
    """
    with opened(item) as image:
        return np.asarray(ImageOps.fit(as_rgb(image), (size, size), Image.Resampling.BILINEAR))


def skim(item):
    """Decode an image to see that it can be: a JPEG at an eighth of its size, which is quick and reads all of the file.

    Raises:
        BrokenImage: with the reason.
    """
    with opened(item) as image:
        image.draft(None, (1, 1))
        as_rgb(image)


@contextlib.contextmanager
def opened(item):
    """A Pillow image of which only the header is read, refused there if it is too large.

    Args:
        item: file path, or the bytes of an encoded image.

    Raises:
        BrokenImage: whatever went wrong here or in the block, as the reason.
    """
    try:
        _refuse_unopened(item)
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
                raise BrokenImage(TOO_LARGE)
            if image.format == "EPS":  # to read it, Pillow would have Ghostscript run it
                raise BrokenImage(f"a program in PostScript: {CONVERT}")
            yield image
    except BrokenImage:
        raise
    except Exception as error:  # a decoder raises anything, given a damaged file
        raise BrokenImage(REASONS.get(type(error)) or brief(error)) from None


def _refuse_unopened(item):
    if isinstance(item, bytes):
        size = len(item)
    elif not item.is_file():  # a pipe would never answer
        raise BrokenImage("no such file, or not a regular one")
    elif item.suffix.lower() in FOREIGN and item.suffix.lower() not in Image.registered_extensions():
        raise BrokenImage(f"{item.suffix} is a format that Pillow cannot open: {CONVERT}")
    else:
        size = item.stat().st_size
    if not size:
        raise BrokenImage("the file is empty")


def as_rgb(image):
    """A Pillow image of any mode in RGB, upright.

    What is transparent is laid on white, as a page shows it. Sixteen bits are scaled to eight, where Pillow would clip.

    Args:
        image: of any mode but floating-point numbers and integers beyond 16 bits, as it is not known what is white in them.

    Returns:
        A Pillow image.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        upright = _eight_bits(upright)
    if upright.has_transparency_data:
        over = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return upright.convert("RGB")


def _eight_bits(image):
    numbers = np.asarray(image)
    if numbers.dtype.kind == "f" or numbers.min() < 0 or numbers.max() > 65535:
        raise BrokenImage(f"pixels of mode {image.mode} beyond 16 bits, with no known white: {CONVERT}")
    return Image.fromarray(np.round(numbers / 257).astype(np.uint8))


def in_threads(look, items, title):
    """What a function says of every image, in order, several at a time: Pillow lets others run while it decodes.

    Args:
        look: a function of one item.
        items: a sequence.
        title: of the progress bar; there is none without a terminal.

    Yields:
        What `look` returned.
    """
    console = Console(stderr=True)
    hidden = {"console": console, "transient": True, "disable": not console.is_terminal}
    with ThreadPool() as pool:
        yield from track(pool.imap(look, items, chunksize=16), title, len(items), **hidden)
