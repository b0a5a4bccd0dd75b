"""One image, whatever it is stored as: opened with care, upright, in RGB, at one size."""

import contextlib
import hashlib
import io
import re
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from kerastl.errors import BrokenImage, brief

# Formats of images, as suffixes, that Pillow opens only with a plugin, or not for what they are: a raw photo as its thumbnail.
FOREIGN = frozenset(
    f".{name}"
    for name in "heic heif hif jxl svg svgz ai cr2 cr3 nef arw raf orf rw2 dng exr hdr xcf psb jxr wdp dcm".split()
)
# What Pillow's own plugins may open, as Pillow names it. Left out is what opens other formats inside (IPTC, ICNS, ICO, FPX), what
# another program is started for (EPS, WMF), and what nobody has photos in. A plugin that the user installed is asked all the same.
FORMATS = frozenset("AVIF BMP DIB GIF JPEG JPEG2000 MPO PCX PNG PPM PSD QOI SGI SUN TGA TIFF WEBP XBM XPM".split())
# A file is at most so many bytes larger than its pixels are uncompressed; beyond that it is padded, or no picture.
BESIDES, BYTES_OF_PIXEL = 100_000_000, 8
MOST_SCANS = 200  # of a JPEG; progressive ones have some ten, and each goes over the whole picture
LARGE = 16_000_000  # pixels; only one picture larger than that is in memory at a time
POSTSCRIPT = b"%!PS", b"\xc5\xd0\xd3\xc6"
PNG = b"\x89PNG\r\n\x1a\n"
_one_large = threading.RLock()
DIGEST = "V16"
DECODER = f"2, Pillow {PIL.__version__}"  # what is kept of decoded images is kept under it; raised when `decode` gives other pixels
UPRIGHT = 1  # EXIF: nothing to turn
CONVERT = "convert it to JPEG or PNG"
PADDED = "far larger than its pixels: not a photo, or damaged"
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
        if _refuse_unopened(item) > BESIDES:
            with opened(item):  # before all of it is read
                pass
        return item if isinstance(item, bytes) else item.read_bytes()


@contextlib.contextmanager
def opened(item):
    """A Pillow image of which only the header is read, refused there if it is too large; of a PNG, also the pixels.

    No program but this one takes part, and a picture of many pixels waits until no other one is open.

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
        size = _refuse_unopened(item)
        if _begins(item, *POSTSCRIPT):
            raise BrokenImage(f"a program in PostScript: {CONVERT}")
        if _begins(item, PNG) and size <= BESIDES:
            item = _with_sound_side_data(item if isinstance(item, bytes) else item.read_bytes())
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item, formats=_formats()) as image:
            pixels = image.width * image.height
            if pixels > (Image.MAX_IMAGE_PIXELS or np.inf):
                raise BrokenImage(TOO_LARGE)
            if size > BESIDES + BYTES_OF_PIXEL * pixels:
                raise BrokenImage(PADDED)
            if image.format in ("JPEG", "MPO"):
                _refuse_many_scans(item if isinstance(item, bytes) else item.read_bytes())
            with _one_large if pixels > LARGE else contextlib.nullcontext():
                yield image


def _formats():
    """The formats that are tried, by Pillow's names."""
    Image.init()
    return [
        name
        for name, (factory, _) in Image.OPEN.items()
        if name in FORMATS or not factory.__module__.startswith("PIL.")
    ]


def _begins(item, *magic):
    if not isinstance(item, bytes):
        with item.open("rb") as file:
            item = file.read(max(map(len, magic)))
    return item.startswith(magic)


def _with_sound_side_data(raw):
    """A PNG without the chunks beside its pixels that are damaged, or text, or profiles: Pillow would refuse the picture for them.

    What turns or colours the pixels stays, and so does what is damaged in the pixels.

    Args:
        raw: the bytes of a file.
    """
    kept, at = [PNG], len(PNG)
    while at + 12 <= len(raw):
        length, kind = struct.unpack(">I4s", raw[at : at + 8])
        end = at + 12 + length
        if not kind.isalpha() or end > len(raw):
            break
        # A chunk whose name begins with a small letter can be left out, as the format has it.
        if kind[:1].isupper() or (kind in SIDE_DATA and _sound(raw[at + 4 : end])):
            kept.append(raw[at:end])
        at = end
        if kind == b"IEND":
            break
    else:
        return b"".join(kept) + raw[at:]
    return b"".join(kept) + (raw[at:] if kept[-1][4:8] != b"IEND" else b"")


SIDE_DATA = frozenset(
    (b"tRNS", b"eXIf", b"iTXt", b"zTXt", b"tEXt")
)  # transparency, and the ways to say which way is up
LONG_TEXT = 100_000  # bytes of a chunk; that of a turn is small


def _sound(chunk):
    """Whether a chunk, from its kind to its checksum, is what was written, and small where it is text."""
    kind, content = chunk[:4], chunk[4:-4]
    if zlib.crc32(chunk[:-4]) != int.from_bytes(chunk[-4:], "big"):
        return False
    if kind in (b"tRNS", b"eXIf"):
        return len(content) <= LONG_TEXT
    said = content.lower()
    return len(content) <= LONG_TEXT and said.startswith((b"xml:com.adobe.xmp", b"raw profile type"))


MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # but for what is stuffed into the pixels, or restarts them
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def _refuse_many_scans(raw):
    """Refuse a JPEG that goes over its picture hundreds of times."""
    at, scans = 2, 0
    while found := MARKER.search(raw, at):
        marker = found[1][0]
        if marker == END_OF_IMAGE:
            return
        scans += marker == START_OF_SCAN
        if scans > MOST_SCANS:
            raise BrokenImage(f"a JPEG of more than {MOST_SCANS} scans, which takes minutes to read: {CONVERT}")
        at = found.end() + int.from_bytes(raw[found.end() : found.end() + 2], "big")


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
    """How many bytes there are; refused is what nobody has to open to see that it is no picture."""
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
    return size


def as_rgb(image):
    """A Pillow image of any mode in RGB, upright.

    What is transparent is laid on white, as a page shows it. Sixteen bits are scaled to eight, where Pillow would clip.

    Args:
        image: of any mode but floating-point numbers and integers beyond 16 bits, as it is not known what is white in them.

    Returns:
        A Pillow image.
    """
    upright = _upright(image)
    if upright.mode.startswith(("I", "F")):
        upright = _eight_bits(upright)
    if upright.has_transparency_data:
        over = upright if upright.mode == "RGBA" else upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return upright.convert("RGB")


def _upright(image):
    image.load()  # a PNG may say which way is up behind its pixels
    try:
        turned = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT
        return ImageOps.exif_transpose(image) if turned else image  # which copies every pixel, turned or not
    except Exception:  # what cannot be read turns nothing; where it is the pixels, the next step says so
        return image


def _eight_bits(image):
    numbers = np.asarray(image)
    if numbers.dtype.kind == "f" or numbers.min() < 0 or numbers.max() > 65535:
        raise BrokenImage(f"pixels of mode {image.mode} beyond 16 bits, with no known white: {CONVERT}")
    return Image.fromarray(np.round(numbers / 257).astype(np.uint8))
