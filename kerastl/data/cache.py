"""`data.cache`: decoded images in memory, in a file on disk, or nowhere.

every encoded image -> its bytes, once -> digest | decoded, or skimmed -> an array | a file | nothing
"""

import contextlib
import hashlib
import os
import threading
import warnings
import zlib

import numpy as np

from kerastl.data.decode import DECODER, DIGEST, decode, digest, skim, stored
from kerastl.data.home import ABOUT, home, in_use, make_room_in, one_at_a_time
from kerastl.data.images import EncodedImages
from kerastl.data.threads import in_threads
from kerastl.errors import BrokenImage, KerastlWarning, UserError, brief
from kerastl.files import flush, own_folder, put_in_place, write_json

IN_MEMORY = 2 * 2**30  # bytes of pixels that data.cache = "auto" decodes once; more are decoded at each use
PIXELS, ARRAYS = "pixels", "arrays.npz"
_given = contextlib.ExitStack()  # the folder that this process was given last is in use


class KeptImages(EncodedImages):
    """Images that were decoded once into a file, which is read when they are asked for.

    Every row carries its checksum; one that is damaged is decoded again.

    Args:
        encoded: the `EncodedImages` that the file was made of.
        file: its path.
    """

    def __init__(self, encoded, file):
        super().__init__(encoded.sequence, encoded.size)
        self.file, self.rows = file, np.memmap(file, _row(encoded), mode="r")

    def __getitem__(self, chosen):
        """uint8 images of shape (n, height, width, 3) for an array of places or a slice."""
        chosen = np.arange(len(self))[chosen]
        rows = self.rows[self.places[chosen]]
        pixels = np.ascontiguousarray(rows["pixels"])
        damaged = [i for i, one in enumerate(pixels) if zlib.crc32(one) != rows["checksum"][i]]
        if damaged:
            warnings.warn(_damaged(self.file), KerastlWarning, stacklevel=2)
            (self.file.parent / ARRAYS).unlink(missing_ok=True)  # so that the next run makes the file anew
            pixels[damaged] = super().__getitem__(chosen[damaged])
        return pixels


def keep(encoded, spec, files, known=None):
    """Go through the images of a dataset once, and keep of them what `data.cache` says.

    Args:
        encoded: `EncodedImages`, those of all splits.
        spec: a `DataSpec`: cache and cache_budget.
        files: paths of the files that they stand in.
        known: their digests, where they are known. Then what is not decoded is not opened either.

    Returns:
        The pixels (a uint8 array, `KeptImages`, or `encoded`), the digests, and why some images cannot be read: {place: reason}.

    Raises:
        UserError: there is no room on the disk.
    """
    auto = "ram" if encoded.nbytes <= IN_MEMORY else "none"
    return CACHES[auto if spec.cache == "auto" else spec.cache](encoded, spec, files, known)


def remembered(about, spec, files, make):
    """What was worked out by an earlier run, or is worked out now and kept, within the budget.

    Args:
        about: a table of plain values: what it is. Another table is another folder.
        spec: a `DataSpec`: cache_budget.
        files: the sizes in bytes of the files that `make` writes, by name.
        make: a function that is given a folder to write the files to, and returns arrays by name.

    Returns:
        The folder, and the arrays.

    Raises:
        UserError: there is no room on the disk.
    """
    name = hashlib.blake2b(repr(sorted(about.items())).encode(), digest_size=16).hexdigest()
    folder = root() / name
    _given.close()
    arrays = _taken(folder, files)
    if arrays is None:
        why = make_room_in(root(), sum(files.values()), spec.cache_budget, "data.cache_budget", keep={folder})
        if why:
            raise UserError(f'data.cache = "disk": {why}; make room, or choose data.cache = "none"')
        with own_folder(root()) as own:
            (own / name).mkdir()
            arrays = make(own / name)
            np.savez(own / name / ARRAYS, **arrays)
            write_json(own / name / ABOUT, about)
            flush(own / name)
            arrays = _taken(folder, files, own / name) or arrays
    return folder, arrays


def _taken(folder, files, made=None):
    """The arrays of a folder, which no process deletes until this one ends or asks for another; None where they are missing.

    Args:
        folder: its path.
        files: as in `remembered`.
        made: what takes its place, unless another process was quicker.
    """
    if not root().is_dir():
        return None
    with one_at_a_time(root()):
        arrays = _read(folder, files, warn=made is None) if folder.is_dir() else None
        if arrays is None and made:
            put_in_place(made, folder)
        elif arrays is None:
            return None
        _given.enter_context(in_use(folder))
        with contextlib.suppress(PermissionError):
            os.utime(folder / ABOUT)
    return arrays


def root():
    """The folder of all that `data.cache = "disk"` keeps."""
    return home() / "pixels"


def fingerprint(files):
    """A text that is another one when one of the files is: by name, size and time of change.

    Args:
        files: paths; none of them is opened.
    """
    seen = hashlib.blake2b(digest_size=16)
    for path in files:
        about = path.stat() if path.exists() else None  # whoever opens it says that it is missing
        seen.update(repr((str(path.absolute()), about and (about.st_size, about.st_mtime_ns))).encode())
    return seen.hexdigest()


def _read(folder, files, warn=True):
    """The arrays of a folder; None, with a warning, where something is not as it was written."""
    try:
        if {name: (folder / name).stat().st_size for name in files} != files:
            raise ValueError("cut short")
        with np.load(folder / ARRAYS) as arrays:  # a zip file, which has checksums of its own
            return dict(arrays)
    except Exception as error:  # numpy and zipfile raise anything, given a damaged file
        if warn:
            warnings.warn(f"{_damaged(folder)} ({brief(error)})", KerastlWarning, stacklevel=5)
        return None


def _damaged(path):
    return f"{path}: damaged; its images are decoded again"


def _in_memory(encoded, spec, files, known):
    pixels = np.zeros(encoded.shape, np.uint8)

    def use(place, raw):
        pixels[place] = decode(raw, encoded.size)

    return pixels, *_go_through(encoded, use)


def _on_disk(encoded, spec, files, known):
    row = _row(encoded)

    def make(folder):
        one_at_a_time = threading.Lock()
        with (folder / PIXELS).open("wb") as file:

            def use(place, raw):
                made = np.empty((), row)
                made["pixels"] = decode(raw, encoded.size)
                made["checksum"] = zlib.crc32(made["pixels"])
                with one_at_a_time:
                    file.seek(place * row.itemsize)
                    file.write(made.tobytes())

            digests, broken = _go_through(encoded, use)
            file.truncate(len(encoded) * row.itemsize)  # the last ones may be broken
        return {
            "digests": digests,
            "broken": np.array(list(broken), int),
            "reasons": np.array(list(broken.values()), str),
        }

    about = {"pixels of": fingerprint(files), "shape": list(encoded.shape), "decoder": DECODER}
    folder, arrays = remembered(about, spec, {PIXELS: len(encoded) * row.itemsize}, make)
    broken = dict(zip(arrays["broken"].tolist(), arrays["reasons"].tolist(), strict=True))
    return KeptImages(encoded, folder / PIXELS), arrays["digests"], broken


def _not_at_all(encoded, spec, files, known):
    if known is not None:
        return encoded, known, {}
    return encoded, *_go_through(encoded, lambda place, raw: skim(raw))


CACHES = {"ram": _in_memory, "disk": _on_disk, "none": _not_at_all}


def _row(encoded):
    return np.dtype([("checksum", "<u4"), ("pixels", "u1", encoded.shape[1:])])


def _go_through(encoded, use):
    """Read every image once; the digests, and why some are broken. `use` is given places and bytes."""
    digests = np.zeros(len(encoded), DIGEST)

    def look(place):
        try:
            raw = stored(encoded.sequence[place])
            digests[place] = digest(raw)
            use(place, raw)
        except BrokenImage as error:
            return str(error)

    reasons = in_threads(look, range(len(encoded)), "open every image")
    return digests, {place: why for place, why in enumerate(reasons) if why}
