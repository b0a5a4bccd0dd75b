"""HDF5 files that may come from a stranger: every link, attribute and chunk is looked at before Keras reads an array.

HDF5 believes what a file says: it unpacks a whole chunk to give one number of it, inflates until a stream ends however long that is,
and gives the same array under as many names as there are. So whatever can multiply is counted here.
"""

import json
import math
import os
import subprocess
import sys
import zlib
from collections import Counter

import h5py
import numpy as np

from kerastl.errors import UntrustedFile

EXPANSION = 10  # what a file may unpack to, as a multiple of itself: Keras compresses nothing
SLACK = 2**20  # bytes, and variables: so small that no relation to the file's size is asked for
MOST_OBJECTS = 50_000  # groups and arrays; EfficientNetV2-L has 5,000
MOST_ATTRIBUTES = 1_000  # of one object
MOST_CHUNKS = 100_000
MOST_DEPTH = 64  # groups in groups
MOST_NAME = 1_000  # letters
FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}
PIPELINE = 1 << 11  # the bit of an object's header that says that filters are set
LISTS = ("weight_names", "layer_names")  # of an .h5: Keras reads an array for each name in them
ATTRIBUTES = (h5py.h5t.TypeStringID, h5py.h5t.TypeIntegerID, h5py.h5t.TypeFloatID, h5py.h5t.TypeEnumID)
MOST_TEXTS = 2**28  # bytes that a list of texts may take, by what is known of it
MOST_SECONDS = 30
READ_TEXTS = """
import json
import sys
import h5py
path, most = sys.argv[1], int(sys.argv[2])
try:
    import resource
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * most, now + 2 * most))
except (ImportError, OSError):
    pass  # no Linux: the time is limited all the same
with h5py.File(path, "r") as file:
    for place, name in json.load(sys.stdin):
        most -= sum(map(len, file[place].attrs[name].ravel()))
sys.exit(most < 0)
"""
REMEDY = "Save it again"
DATASET_RULES = {
    "is no array": lambda it: not isinstance(it, h5py.Dataset),
    "is virtual: made of other files": lambda it: it.is_virtual,
    "keeps its numbers in another file": lambda it: it.external,
    "holds no plain numbers": lambda it: it.dtype.kind not in "biufcV" or it.dtype.names or it.dtype.subdtype,
    "has a type that stands elsewhere in the file": lambda it: it.id.get_type().committed(),
}


def count_stored(file, source, size):
    """Look through an HDF5 file.

    Args:
        file: an `h5py.File`.
        source: its name, for errors.
        size: its bytes.

    Returns:
        How many numbers it stores.

    Raises:
        UntrustedFile: something leads out of it, or asks for far more than the bytes it has.
    """
    groups, seen, numbers, declared, chunks = [(file, "", 0)], {_address(file)}, 0, 0, 0
    lists = _lists(file, source)
    while groups:
        group, inside, deep = groups.pop()
        if h5py.h5o.get_info(group.id).hdr.mesg.present & PIPELINE:
            raise UntrustedFile(f"{source}: {inside[-200:]}/ compresses its names; expected plain ones. {REMEDY}")
        if len(seen) + len(group) > MOST_OBJECTS or deep > MOST_DEPTH:
            limits = f"at most {MOST_OBJECTS:,}, and no deeper than {MOST_DEPTH}"
            raise UntrustedFile(
                f"{source}: {inside[:200]}/ holds too many groups and arrays; expected {limits}. {REMEDY}"
            )
        for key in group:
            name = f"{inside}/{key}"
            here = f"{source}: {name if len(name) < 200 else f'...{name[-200:]}'}"
            item = _linked(group, key, here)
            if (address := _address(item)) in seen:
                raise UntrustedFile(f"{here} is a second name of something; expected each under one name. {REMEDY}")
            seen.add(address)
            if isinstance(item, h5py.Group):
                lists += _lists(item, here)
                groups.append((item, name, deep + 1))
                continue
            for reason, holds in DATASET_RULES.items():
                if holds(item):
                    raise UntrustedFile(f"{here} {reason}; expected an array of numbers. {REMEDY}")
            lists += _lists(item, here)
            numbers += math.prod(item.shape or ())
            declared += math.prod(item.shape or ()) * item.dtype.itemsize
            if declared > EXPANSION * size + SLACK:
                raise UntrustedFile(
                    f"{here}: with its shape {item.shape} the arrays ask for {declared:,} bytes, the file has {size:,}; "
                    f"expected at most {EXPANSION} times as many. {REMEDY}"
                )
            if item.chunks:
                chunks += _check_chunks(item, here, size)
            if chunks > MOST_CHUNKS:
                raise UntrustedFile(
                    f"{here} is stored in {chunks:,} chunks; expected at most {MOST_CHUNKS:,}. {REMEDY}"
                )
    _check_lists(lists, file.filename, source, size)
    return numbers


def read_text(item, name, source):
    """A text that is kept as an attribute.

    Args:
        item: the `h5py.File`, looked through.
        name: of the attribute.
        source: of the file, for errors.

    Returns:
        str, or None where there is no such attribute.

    Raises:
        UntrustedFile: it is no text.
    """
    if name not in item.attrs:
        return None
    text = item.attrs[name]
    if not isinstance(text, bytes | str):
        kind = f"an array of shape {text.shape}" if isinstance(text, np.ndarray) else type(text).__name__
        raise UntrustedFile(f"{source}: its {name} is {kind}; expected text. {REMEDY}")
    return text.decode("utf-8") if isinstance(text, bytes) else text


def _address(item):
    return h5py.h5o.get_info(item.id).addr


def _linked(group, key, here):
    link = group.get(key, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise UntrustedFile(f"{here} is an HDF5 {type(link).__name__}; expected what it points to. {REMEDY}")
    return group[key]


def _lists(item, here):
    """The attributes of something that are lists of names; what is no text or number is refused."""
    count, found = h5py.h5a.get_num_attrs(item.id), []
    if count > MOST_ATTRIBUTES:
        raise UntrustedFile(f"{here} has {count:,} attributes; expected at most {MOST_ATTRIBUTES:,}. {REMEDY}")
    for number in range(count):
        attribute = h5py.h5a.open(item.id, index=number)
        name, kind = attribute.name.decode("utf-8", "replace"), attribute.get_type()
        told = f"{here}: its attribute {name[:80]!r}"
        if not isinstance(kind, ATTRIBUTES):
            raise UntrustedFile(f"{told} is no text and no number; expected one of them. {REMEDY}")
        if name.startswith(LISTS):
            found.append(name)
        elif isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str() and attribute.shape:
            raise UntrustedFile(f"{told} is a list of texts; expected one text. {REMEDY}")
    return [(item, here, found)] if found else []


def _check_lists(lists, path, source, size):
    """Refuse lists that name an array twice, or something else than an array."""
    _check_texts([(item, name) for item, _, found in lists for name in found], path, source, size)
    for item, here, found in lists:
        names = [each for name in found for each in _names(item.attrs[name], f"{here}: its attribute {name[:80]!r}")]
        for name in names:
            if "\0" in name or {".", ".."} & set(name.split("/")) or len(name) > MOST_NAME:
                raise UntrustedFile(f"{here} names an array {name[:80]!r}; expected a plain name. {REMEDY}")
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise UntrustedFile(f"{here} names {twice[:80]!r} twice; expected each array once. {REMEDY}")


def _names(listed, told):
    """A list of names; Keras takes a single text for the list of its letters."""
    if not isinstance(listed, np.ndarray) or listed.ndim != 1 or (listed.size and listed.dtype.kind not in "SO"):
        raise UntrustedFile(f"{told} is no list of names; expected one. {REMEDY}")
    listed = listed.tolist() if listed.size else []
    return [it.decode("utf-8", "replace") if isinstance(it, bytes) else str(it) for it in listed]


def _check_texts(lists, path, source, size):
    """Texts of any length are pointers, of which thousands may point to the same megabyte, and none tells its length before.

    Where they could be too much for this process, another one reads them, which may end.
    """
    most = sum(math.prod(h5py.h5a.open(item.id, name.encode()).shape) * size for item, name in lists)
    if most <= MOST_TEXTS:
        return
    asked = json.dumps([[item.name, name] for item, name in lists]).encode("ascii")
    command = [sys.executable, "-P", "-c", READ_TEXTS, str(path), str(MOST_TEXTS)]
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each of its threads would ask for memory of its own
    try:
        done = subprocess.run(command, input=asked, env=alone, capture_output=True, timeout=MOST_SECONDS, check=False)
        fits = done.returncode == 0
    except subprocess.TimeoutExpired:
        fits = False
    if not fits:
        raise UntrustedFile(
            f"{source}: its lists of names cannot be read within {MOST_TEXTS:,} bytes; expected names. {REMEDY}"
        )


def _check_chunks(item, here, size):
    """Refuse chunks that are, or inflate to, more than what is stored in them; how many there are."""
    plist = item.id.get_create_plist()
    filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
    if set(filters) - set(FILTERS) or len(set(filters)) < len(filters):
        raise UntrustedFile(
            f"{here} is packed by the HDF5 filters {filters}; expected {', '.join(FILTERS.values())}, each once. {REMEDY}"
        )
    room, asked = math.prod(item.chunks) * item.dtype.itemsize, math.prod(item.shape) * item.dtype.itemsize
    if room > max(asked, SLACK):
        raise UntrustedFile(
            f"{here}: {asked:,} bytes of numbers are stored in chunks of {room:,}; expected no larger chunks. {REMEDY}"
        )
    found = []
    item.id.chunk_iter(lambda chunk: found.append(chunk) or (True if len(found) > MOST_CHUNKS else None))
    if sum(chunk.size for chunk in found) > size:
        raise UntrustedFile(f"{here} has chunks that lie one on another; expected each in a place of its own. {REMEDY}")
    if h5py.h5z.FILTER_DEFLATE in filters:
        for chunk in found[:MOST_CHUNKS]:
            skipped, packed = item.id.read_direct_chunk(chunk.chunk_offset)
            if skipped >> filters.index(h5py.h5z.FILTER_DEFLATE) & 1:
                continue
            # One byte more than fits, beside the 4 of a checksum, is enough to know.
            if len(zlib.decompressobj().decompress(packed, room + 5)) > room + 4:
                raise UntrustedFile(
                    f"{here} inflates to more than its {room:,} bytes a chunk; expected as many. {REMEDY}"
                )
    return len(found)
