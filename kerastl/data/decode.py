"""One image, whatever it is stored as: opened with care, upright, in RGB, at one size."""

import contextlib
import hashlib
import io
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps, UnidentifiedImageError

from kerastl.errors import BrokenImage, brief

# Formats of images, as suffixes, that Pillow opens only with a plugin, or not for what they are: a raw photo as its thumbnail.
FOREIGN = frozenset(
    f".{name}"
    for name in "heic heif hif jxl svg svgz ai cr2 cr3 nef arw raf orf rw2 dng exr hdr xcf psb jxr wdp dcm".split()
)
DIGEST = "V16"
DECODER = f"2, Pillow {PIL.__version__}"  # what is kept of decoded images is kept under it; raised when `decode` gives other pixels
CONVERT = "convert it to JPEG or PNG"
TOO_LARGE = "more pixels than Pillow takes for safe (PIL.Image.MAX_IMAGE_PIXELS): make it smaller"
REASONS = {
    UnidentifiedImageError: f"not an image, or of a format that Pillow cannot open: {CONVERT}",
    Image.DecompressionBombError: TOO_LARGE,
    Image.DecompressionBombWarning: TOO_LARGE,
}


def digest(item):
    """16 bytes that stand for an image as it is stored: a file, its bytes, or an array."""
    if not isinstance(item, bytes):
        item = np.ascontiguousarray(item) if isinstance(item, np.ndarray) else item.read_bytes()
    return hashlib.blake2b(item, digest_size=16).digest()


def decode(item, size):
    """The middle square of one image, or the middle of another shape: the first frame, upright as EXIF says, in RGB as `as_rgb` makes it.

    Args:
        item: file path, the bytes of an encoded image, a Pillow image, a uint8 array of shape (height, width, 3) or (height, width),
            or what has `read_bytes`.
        size: side in pixels of what comes out, or its height and width.

    Returns:
        uint8 array of shape (height, width, 3).

    Raises:
        BrokenImage: with the reason.
    """
    height, width = np.broadcast_to(size, 2).tolist()
    with opened(item) as image:
        return np.asarray(ImageOps.fit(as_rgb(image), (width, height), Image.Resampling.BILINEAR))


def skim(item):
    """Decode an image to see that it can be: a JPEG at an eighth of its size, which is quick and reads all of the file.

    Raises:
        BrokenImage: with the reason.
    """
    with opened(item) as image:
        image.draft(None, (1, 1))
        as_rgb(image)


def stored(item):
    """The bytes of an image as they are stored.

    Args:
        item: file path, bytes, or what has `read_bytes`.

    Raises:
        BrokenImage: it is no regular file, of a format that Pillow cannot open, empty, or cannot be read.
    """
    with _broken_told():
        item = item if isinstance(item, bytes | Path) else item.read_bytes()
        _refuse_unopened(item)
        return item if isinstance(item, bytes) else item.read_bytes()


@contextlib.contextmanager
def opened(item):
    """A Pillow image of which only the header is read, refused there if it is too large.

    Args:
        item: as `decode` takes it.

    Raises:
        BrokenImage: whatever went wrong here or in the block, as the reason.
    """
    with _broken_told():
        if isinstance(item, Image.Image | np.ndarray):
            yield item if isinstance(item, Image.Image) else _of_array(item)
            return
        item = item if isinstance(item, bytes | Path) else item.read_bytes()
        _refuse_unopened(item)
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
                raise BrokenImage(TOO_LARGE)
            if image.format == "EPS":  # to read it, Pillow would have Ghostscript run it
                raise BrokenImage(f"a program in PostScript: {CONVERT}")
            yield image


@contextlib.contextmanager
def _broken_told():
    try:
        yield
    except BrokenImage:
        raise
    except Exception as error:  # a decoder raises anything, given a damaged file
        raise BrokenImage(REASONS.get(type(error)) or brief(error)) from None


def _of_array(pixels):
    if pixels.dtype != np.uint8:
        raise BrokenImage(f"an array of {pixels.dtype}; expected uint8, 0 to 255")
    return Image.fromarray(pixels)


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
