"""Files of run folders, which may be a stranger's: what cannot be read is a `BrokenRun`, never a raw error.

Opened where they are regular files, read to a bounded size, looked through by a table of what they have to hold
(`kerastl.shapes`). Archives are read by hand: numbers alone, no pickle, bytes counted as they come out.
"""

import json
import math
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from kerastl.errors import BrokenRun, UntrustedFile
from kerastl.model.archive import REMEDY, contents, pieces
from kerastl.shapes import problem
from kerastl.strict import depth
from kerastl.text import printable

MEGABYTE = 10**6
MOST_TEXT = 64 * MEGABYTE  # bytes of a text file
MOST_PARTS = 4_000_000  # tables, lists and values of a JSON file: one takes up to 200 bytes in memory
MOST_DEPTH = 100
MOST_DENSE = 256 * MEGABYTE  # bytes that an archive may unpack to, however small it is
MOST_DEFLATED = 100  # times its own size, beyond that: probabilities do not get smaller
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OverflowError, EOFError, NotImplementedError)
DIGITS = "fiub"  # kinds of arrays that hold numbers
REMAKE = "train the run again (kerastl train --out NEW), or take the file from a copy of the folder"
GO_BACK = "delete it to go on from the state before it, or start a new run (--out NEW)"


def read_arrays(path, shapes=None, most=MOST_DENSE):
    """The arrays of an `.npz` archive.

    Args:
        path: of the file.
        shapes: a dict from the names that are expected to their shapes; None for any.
        most: bytes that all arrays may have together; where the archive is large, up to 100 times its own size.

    Returns:
        A dict from name to array: of numbers, or of one text.

    Raises:
        BrokenRun: it is damaged, laid out as nobody would write it, holds anything but numbers, or would unpack to too much.
    """
    with opened(path) as file:
        try:
            members = contents(file, path)
            size = os.fstat(file.fileno()).st_size
            total, allowed = sum(it.info.file_size for it in members), max(most, MOST_DEFLATED * size if shapes else 0)
            if total > allowed:
                raise broken(path, f"would unpack to {total:,} bytes; expected at most {allowed:,}")
            names = [it.name.removesuffix(".npy") for it in members]
            if len(set(names)) != len(names):
                raise broken(path, "holds two arrays of one name; expected each once")
            if shapes is not None and set(names) != set(shapes):
                found = ", ".join(sorted(name[:40] for name in names)[:5]) or "none"
                raise broken(path, f"found the arrays {found}; expected {', '.join(shapes)}")
            wanted = shapes or {}
            return {name: _array(file, it, path, wanted.get(name)) for name, it in zip(names, members, strict=True)}
        except UntrustedFile as error:
            raise broken(path, str(error).removeprefix(f"{path}: ").removesuffix(f". {REMEDY}")) from None
        except DAMAGED as error:
            raise broken(path, f"is damaged ({_line(error)}); expected arrays, as numpy.savez writes them") from None


def read_json(path, shape=object, most=MOST_TEXT):
    """A JSON file.

    Args:
        path: of the file.
        shape: what it has to hold; see `kerastl.shapes`.
        most: bytes it may have.

    Returns:
        Plain values.

    Raises:
        BrokenRun: it is none, or holds something else.
    """
    return parsed(path, read_text(path, most), shape)


def parsed(path, text, shape=object):
    """As `read_json`, of a text that stood in a file."""
    if (parts := sum(map(text.count, "[{,"))) > MOST_PARTS:
        raise broken(path, f"holds {parts:,} tables, lists and values; expected at most {MOST_PARTS:,}")
    try:
        table = json.loads(text)
    except RecursionError:
        raise broken(path, "is nested too deeply; expected a table of figures") from None
    except ValueError as error:
        raise broken(path, f"is not JSON ({_line(error)}); expected what kerastl wrote") from None
    if depth(table) > MOST_DEPTH:
        raise broken(path, f"is nested more than {MOST_DEPTH} deep; expected a table of figures")
    if told := problem(table, shape):
        raise broken(path, told)
    return table


def read_text(path, most=MOST_TEXT):
    """A UTF-8 text file, with or without a byte-order mark.

    Raises:
        BrokenRun: it is none, or larger than `most` bytes.
    """
    with opened(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise broken(path, f"has more than {most:,} bytes; expected fewer")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise broken(path, f"byte {error.start:,} is not UTF-8; expected UTF-8 text") from None


def opened(path):
    """A regular file, open for reading bytes: a pipe would wait for ever, a device never end.

    Raises:
        BrokenRun: there is none, or it is something else, as a link.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise broken(path, "there is no such file; expected what kerastl train writes") from None
    except (OSError, ValueError) as error:
        raise broken(path, f"cannot be read ({getattr(error, 'strerror', None) or error}); expected a file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise broken(path, "is no regular file; expected one")
    return os.fdopen(descriptor, "rb")


def _array(file, member, path, shape):
    """One array of an archive: its header says how large it is, and so many bytes come out."""
    stream = _Stream(pieces(file, member, path))
    name = member.name[:60]
    if not member.name.endswith(".npy"):
        raise broken(path, f"its member {name!r} is no array; expected arrays, as numpy.savez writes them")
    found, fortran, dtype = _header(stream, path, name)
    size = math.prod(found) * dtype.itemsize
    text = dtype.kind == "U" and found == ()
    if (dtype.kind not in DIGITS and not text) or dtype.names:
        raise broken(path, f"its array {name!r} is of the type {dtype}; expected numbers")
    if shape is not None and found != shape:
        raise broken(path, f"its array {name!r} has the shape {found}; expected {shape}")
    if size > member.info.file_size:
        raise broken(
            path, f"its array {name!r} has the shape {found}, and {member.info.file_size:,} bytes; expected {size:,}"
        )
    raw = stream.rest()
    if len(raw) != size:
        raise broken(path, f"its array {name!r} has {len(raw):,} bytes; expected {size:,}")
    return np.frombuffer(raw, dtype).reshape(found, order="F" if fortran else "C")


def _header(stream, path, name):
    """Shape, order and type of an array. numpy reads them as a literal of Python's, which can be wrong in many ways."""
    try:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        return read(stream)
    except UntrustedFile:
        raise
    except Exception:
        raise broken(path, f"its array {name!r} does not say what it is; expected what numpy.savez writes") from None


class _Stream:
    """The bytes of a member as they come out, read as a file is; numpy's header is small, and so is what it asks for."""

    def __init__(self, some):
        self.some, self.kept = some, b""

    def read(self, count):
        while len(self.kept) < count and (piece := next(self.some, None)) is not None:
            self.kept += piece
        told, self.kept = self.kept[:count], self.kept[count:]
        return told

    def rest(self):
        told = bytearray(self.kept)
        for piece in self.some:
            told += piece
        return told


def broken(path, told):
    """The error that a file is not what kerastl writes.

    Args:
        path: of the file.
        told: what was found, and what was expected.
    """
    path = Path(path)
    state = path.parent.name == "state" and path.suffix == ".npz"
    return BrokenRun(f"{printable(str(path))}: {printable(told)}. To mend it, {GO_BACK if state else REMAKE}")


def _line(error):
    return " ".join(str(error).split())[:120] or type(error).__name__
