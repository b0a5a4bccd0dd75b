"""Rows on disk, found by the digest of the image they belong to: what the feature cache is kept in.

A store is a folder of shards, each a memory-mappable .npy of (digest, value). Any set of images, another split, another
run, a sweep, finds the rows that are already there. The name of a shard carries the checksum of its bytes: one that was cut
short or altered is not what its name says; it is deleted, and its rows are made again. That is also why writing needs no
fsync, and why any number of processes may write to one store.
"""

import contextlib
import hashlib
import json
import os
import warnings
import zlib

import ml_dtypes
import numpy as np

from kerastl.data.decode import DIGEST
from kerastl.data.home import ABOUT, home, in_use, make_room_in, one_at_a_time
from kerastl.errors import KerastlWarning
from kerastl.files import own_folder, sweep_up, write_json

# numpy's file format has no bfloat16; its bits are stored as whole numbers.
STORED_AS = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}
DTYPES = {"float32": np.dtype("float32"), "float16": np.dtype("float16"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
_verified = {}  # path of a shard -> its size and time of change when this process found its checksum right


def root():
    """The folder of all stores."""
    return home() / "features"


class StoredRows:
    """Rows of shards on disk, read when they are asked for, as an array would give them.

    Args:
        shards: memory-mapped structured arrays with the fields "digest" and "value".
        rows: for each place, its row, counted over all shards.
        dtype: of the values: float32, float16 or bfloat16.
    """

    def __init__(self, shards, rows, dtype):
        self.shards, self.rows, self.dtype = shards, rows, DTYPES[str(dtype)]
        self.starts = np.cumsum([0, *(len(shard) for shard in shards)])

    @property
    def shape(self):
        return (len(self.rows), *self.shards[0]["value"].shape[1:])

    @property
    def nbytes(self):
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, chosen):
        rows = self.rows[chosen]
        shard_of = np.searchsorted(self.starts, rows, side="right") - 1
        values = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for shard in np.unique(shard_of):
            here = shard_of == shard
            values[here] = self.shards[shard]["value"][rows[here] - self.starts[shard]].view(self.dtype)
        return values

    def joined(self, other):
        """These rows and then the others."""
        rows = np.concatenate([self.rows, other.rows + self.starts[-1]])
        return StoredRows(self.shards + other.shards, rows, self.dtype)


class Store:
    """The folder that holds the rows of one kind.

    Args:
        about: a table of plain values: what the rows are; a store with another table is another folder.
        shape: of a row.
        dtype: of the values: float32, float16 or bfloat16.
    """

    def __init__(self, about, shape, dtype):
        self.about, self.dtype = about, dtype
        self.row = np.dtype([("digest", DIGEST), ("value", STORED_AS[dtype], tuple(shape))])
        name = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
        self.folder = root() / name
        self.shards, self.row_of = [], {}  # from a digest to its row, counted over all shards
        self.used = contextlib.ExitStack()
        if root().is_dir():
            with one_at_a_time(root()):
                self._use()
        for shard in self._sound_shards():
            self._add(shard)
        if self.shards:
            with contextlib.suppress(PermissionError):
                os.utime(self.folder / ABOUT)

    def missing(self, digests):
        """Places of the digests that have no row yet, each digest once."""
        first_place = {}
        for place, digest in enumerate(digests.tolist()):
            if digest not in self.row_of:
                first_place.setdefault(digest, place)
        return np.array(list(first_place.values()), dtype=np.int64)

    def begin(self):
        """Make the folder, and say in it what it holds."""
        root().mkdir(parents=True, exist_ok=True)
        with one_at_a_time(root()):
            self.folder.mkdir(exist_ok=True)
            self._use()
        write_json(self.folder / ABOUT, self.about)
        sweep_up(self.folder)

    def close(self):
        """Let other processes delete the store to make room. Rows that were read stay readable."""
        self.used.close()

    def _use(self):
        self.used.close()
        if self.folder.is_dir():
            self.used.enter_context(in_use(self.folder))

    def write(self, digests, values):
        """Add a shard, in one move.

        Args:
            digests: array of shape (n,).
            values: array of shape (n, *shape), of the store's dtype.
        """
        shard = np.empty(len(digests), self.row)
        shard["digest"], shard["value"] = digests, values.view(STORED_AS[self.dtype])
        with own_folder(self.folder) as own:
            with (own / "shard").open("wb") as file:
                np.lib.format.write_array(file, shard)
            path = self.folder / f"{bytes(digests[0]).hex()}-{_checksum(own / 'shard'):08x}.npy"
            (own / "shard").replace(path)
        _verified[path] = _state(path)
        self._add(np.load(path, mmap_mode="r"))

    def read(self, digests):
        """The rows of some digests, which are all there, as `StoredRows`."""
        rows = np.array([self.row_of[digest] for digest in digests.tolist()])
        return StoredRows(self.shards, rows, self.dtype)

    def _add(self, shard):
        for row, digest in enumerate(shard["digest"].tolist(), start=sum(map(len, self.shards))):
            self.row_of.setdefault(digest, row)
        self.shards.append(shard)

    def _sound_shards(self):
        shards = []
        for path in sorted(self.folder.glob("*.npy")):
            if _is_sound(path):
                shards.append(np.load(path, mmap_mode="r"))
            else:
                warnings.warn(f"{path}: damaged; its features are computed again", KerastlWarning, stacklevel=4)
                path.unlink(missing_ok=True)
        return shards


def make_room(needed, budget, keep=frozenset()):
    """Delete the least recently used stores until so many bytes more fit the budget.

    Args:
        needed: bytes to be written.
        budget: a `CacheBudget`.
        keep: folders of stores that are in use.

    Returns:
        Why there is no room, or an empty text.
    """
    return make_room_in(root(), needed, budget.disk, "train.cache_budget.disk", keep)


def _is_sound(path):
    state = _state(path)
    if _verified.get(path) != state:
        if path.stem.rpartition("-")[2] != f"{_checksum(path):08x}":
            return False
        _verified[path] = state
    return True


def _state(path):
    return path.stat().st_size, path.stat().st_mtime_ns


def _checksum(path):
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            checksum = zlib.crc32(block, checksum)
    return checksum
