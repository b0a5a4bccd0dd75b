"""Images in TFRecord shards, each read where it stands: nothing is held but where that is.

shards -> every record, once -> where it begins, label, digest;  a place -> shard and byte -> the encoded image
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerastl.data.decode import DIGEST, digest
from kerastl.data.threads import in_threads
from kerastl.errors import MissingData, brief

PLACE = [("shard", "<u4"), ("number", "<u4"), ("start", "<u8")]
INDEX = np.dtype([*PLACE, ("label", "<i8"), ("digest", DIGEST)])


class Record(NamedTuple):
    """One example: its shard, how many stand before it there, and the byte where it begins."""

    shard: Path
    number: int
    start: int

    def __str__(self):
        return f"{self.shard}, record {self.number}"

    def read_bytes(self):
        """Its image, still encoded; TensorFlow compares the checksum of the record."""
        return _image_and_label(_reader(self.shard).read(self.start)[0])[0]


class Records:
    """A sequence of `Record` that takes 16 bytes of memory for each.

    Args:
        shards: their paths.
        index: what `index_records` gave for them.
    """

    def __init__(self, shards, index):
        self.shards, self.places = shards, index[["shard", "number", "start"]].astype(PLACE)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, place):
        shard, number, start = self.places[place].tolist()
        return Record(self.shards[shard], number, start)


def index_records(shards, first=0):
    """Read every record once, to know where it begins, its label, and the digest of its image.

    Args:
        shards: paths of TFRecord files of examples with an `image` (encoded) and a `label`.
        first: number of the first of them.

    Returns:
        Array of dtype `INDEX`, in the order of the files.

    Raises:
        MissingData: a shard is damaged, or not there.
    """
    return np.concatenate(list(in_threads(_scan, list(enumerate(shards, first)), "index every record", chunk=1)))


def _scan(numbered):
    shard, path = numbered
    rows, start = [], 0
    try:
        reader = _reader(path)
        while (read := _next(reader, start)) is not None:
            image, label = _image_and_label(read[0])
            rows.append((shard, len(rows), start, label, digest(image)))
            start = read[1]
    except Exception as error:
        raise MissingData(f"record {len(rows)} of {path.name}: {brief(error)}") from None
    return np.array(rows, INDEX)


def _next(reader, start):
    try:
        return reader.read(start)
    except IndexError:  # the end of the file
        return None


def _reader(path):
    # What checks a record by itself, TensorFlow has, and does not list among its public names.
    from tensorflow.python.lib.io.tf_record import tf_record_random_reader

    return tf_record_random_reader(str(path))


def _image_and_label(record):
    import tensorflow as tf

    values = tf.train.Example.FromString(record).features.feature
    return values["image"].bytes_list.value[0], values["label"].int64_list.value[0]
