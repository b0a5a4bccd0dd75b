"""Zip archives that may come from a stranger: read by hand, stored and deflated members alone, bytes counted as they come out.

What an archive says of itself is not believed: `contents` compares its directory with what stands before each member, and `pieces`
stops at the first byte more than was declared. bzip2 and LZMA can turn kilobytes into gigabytes before anything can be counted.
"""

import struct
import zipfile
import zlib
from dataclasses import dataclass

from kerastl.errors import UntrustedFile

PIECE = 2**20  # bytes that are held at once
MOST_DIRECTORY = 2**20  # bytes of the list of members; Keras writes three members, and assets
METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
ENCRYPTED, SIZES_BEHIND = 1, 8  # bits of a member's flags
LOCAL, END, END_64 = struct.Struct("<4s5H3L2H"), struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = 20  # bytes
BEHIND = 24  # bytes, at most, that stand behind a member whose sizes were not known before
LARGE = 2**31 - 1  # bytes from which on Python writes zip64
REMEDY = "Save it again"


@dataclass(frozen=True)
class Member:
    """What the directory says of a member, and where its bytes begin."""

    info: zipfile.ZipInfo
    start: int

    @property
    def name(self):
        return self.info.filename


def contents(file, source, behind_something=False):
    """The members of an archive, which lie one behind another and are what the directory says.

    Args:
        file: open for reading bytes.
        source: its name, for errors.
        behind_something: the archive is appended to another file, as labels are to a LiteRT model.

    Returns:
        A list of `Member`, in the order of their places.

    Raises:
        UntrustedFile: it is laid out as nobody would write it.
        zipfile.BadZipFile: it is no archive.
    """
    directory = _directory(file, source)
    with zipfile.ZipFile(file) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    members = [_member(file, info, source) for info in infos]
    ends = [0, *(member.start + member.info.compress_size for member in members)]
    if behind_something and infos:
        ends[0] = infos[0].header_offset
    starts = [*(info.header_offset for info in infos), directory]
    gaps = [0, *(BEHIND if info.flag_bits & SIZES_BEHIND else 0 for info in infos)]
    for end, start, gap in zip(ends, starts, gaps, strict=True):
        if not 0 <= start - end <= gap:
            _refuse(source, "its members overlap, or have other bytes before or between them", "one behind another")
    return members


def pieces(file, member, source):
    """The bytes of a member, a mebibyte at a time.

    Args:
        file, source: as for `contents`.
        member: one of them.

    Yields:
        bytes: never more in all than the directory declares.

    Raises:
        UntrustedFile: there are more bytes, or others, than declared.
    """
    info, total, check = member.info, 0, 0
    raw = _raw(file, member.start, info.compress_size)
    for piece in raw if info.compress_type == zipfile.ZIP_STORED else _inflated(raw):
        total, check = total + len(piece), zlib.crc32(piece, check)
        if total > info.file_size:
            break
        yield piece
    if total != info.file_size:
        more = "more" if total > info.file_size else "fewer"
        _refuse(source, f"its member {member.name[:80]!r} has {more} bytes than declared", f"{info.file_size:,}")
    if check != info.CRC:
        _refuse(source, f"its member {member.name[:80]!r} is damaged: its checksum is another", "the one declared")


def read_member(path, name, most):
    """One member of an archive that is appended to a file.

    Args:
        path: of the file.
        name: of the member.
        most: bytes it may unpack to.

    Returns:
        bytes, or None where the file has no such member.

    Raises:
        UntrustedFile: see `contents`; or it is larger.
        zipfile.BadZipFile: there is no archive.
    """
    with path.open("rb") as file:
        member = next((it for it in contents(file, path, behind_something=True) if it.name == name), None)
        if member is None:
            return None
        if member.info.file_size > most:
            _refuse(path, f"its member {name!r} unpacks to {member.info.file_size:,} bytes", f"at most {most:,}")
        return b"".join(pieces(file, member, path))


def _directory(file, source):
    """Where the list of members begins; nothing may stand behind it, and it has to be small, as all of it is read."""
    size = file.seek(0, 2)
    end = size - END.size
    fields = _at(file, END, end)
    if fields[0] != b"PK\5\6" or fields[-1]:
        raise zipfile.BadZipFile("it does not end as a zip archive does")
    length = fields[5]
    if end >= LOCATOR_64 and _at(file, struct.Struct("<4s"), end - LOCATOR_64)[0] == b"PK\6\7":
        end -= LOCATOR_64 + END_64.size
        fields = _at(file, END_64, end)
        length = fields[8]
        if fields[0] != b"PK\6\6" or size < LARGE:
            _refuse(source, "its directory is of the kind for huge archives (zip64)", "the plain one")
    if length > MOST_DIRECTORY or end - length < 0:
        _refuse(source, f"its directory has {length:,} bytes", f"at most {MOST_DIRECTORY:,}")
    return end - length


def _at(file, layout, place):
    if place < 0:
        raise zipfile.BadZipFile("it is too short for a zip archive")
    file.seek(place)
    found = file.read(layout.size)
    if len(found) < layout.size:
        raise zipfile.BadZipFile("it ends too early")
    return layout.unpack(found)


def _member(file, info, source):
    """Compare what stands before a member's bytes with what the directory says of it."""
    magic, _, flags, method, _, _, _, packed, size, name_length, extra = _at(file, LOCAL, info.header_offset)
    name = file.read(name_length).decode("utf-8" if flags & 0x800 else "cp437", "replace")
    told = f"its member {info.filename[:80]!r}"
    if info.flag_bits & ENCRYPTED:
        _refuse(source, f"{told} is encrypted", "none that is")
    if info.compress_type not in METHODS:
        kind = zipfile.compressor_names.get(info.compress_type, info.compress_type)
        _refuse(source, f"{told} is compressed by {kind}", "members that are stored or deflated")
    # Where nobody knew before, or the sizes take more than 32 bits, they stand elsewhere.
    elsewhere = flags & SIZES_BEHIND or 0xFFFFFFFF in (packed, size)
    differs = not elsewhere and (packed, size) != (info.compress_size, info.file_size)
    if magic != b"PK\3\4" or name != info.orig_filename or method != info.compress_type or differs:
        _refuse(source, f"{told} is another one in the directory than where it stands", "the same in both")
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        _refuse(source, f"{told} has more bytes or fewer than declared", f"{info.file_size:,}")
    return Member(info, info.header_offset + LOCAL.size + name_length + extra)


def _raw(file, start, length):
    file.seek(start)
    while length:
        piece = file.read(min(PIECE, length))
        if not piece:
            raise zipfile.BadZipFile("it ends too early")
        length -= len(piece)
        yield piece


def _inflated(raw):
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in raw:
        while piece:
            yield machine.decompress(piece, PIECE)
            piece = machine.unconsumed_tail
    yield machine.flush()
    if not machine.eof or machine.unused_data:
        raise zipfile.BadZipFile("a deflated member does not end where its bytes do")


def _refuse(source, found, expected):
    raise UntrustedFile(f"{source}: {found}; expected {expected}. {REMEDY}")
