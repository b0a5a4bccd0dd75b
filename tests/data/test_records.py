"""Shards of records: any one is read by itself, and none that is damaged is taken for an image."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.data.decode import digest
from kerastl.data.records import INDEX, Record, Records, index_records
from kerastl.errors import MissingData


def write(path, images, labels):
    with tf.io.TFRecordWriter(str(path)) as file:
        for image, label in zip(images, labels, strict=True):
            values = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            file.write(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())
    return path


@pytest.fixture
def shards(tmp_path):
    """Three of them, with 4, 0 and 3 images."""
    return [
        write(tmp_path / f"x-train.tfrecord-0000{i}-of-00003", [bytes([i, k]) * (50 + k) for k in range(n)], range(n))
        for i, n in enumerate((4, 0, 3))
    ]


def test_one_pass_finds_places_labels_and_digests(shards):
    index = index_records(shards)
    assert index["shard"].tolist() == [0] * 4 + [2] * 3 and index["number"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert index["label"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert index["digest"][5].tobytes() == digest(bytes([2, 1]) * 51)
    assert (index_records(shards[2:], first=2) == index[4:]).all()


def test_any_record_is_read_by_itself(shards):
    records = Records(shards, index_records(shards))
    assert len(records) == 7
    for place in (6, 0, 3, 4, 4):
        shard, number = (0, place) if place < 4 else (2, place - 4)
        assert records[place].read_bytes() == bytes([shard, number]) * (50 + number)
    assert str(records[5]).endswith("x-train.tfrecord-00002-of-00003, record 1")
    assert records.places.itemsize == 16 and records.places.base is None


def damage(path, place):
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


def test_a_checksum_that_is_wrong_is_told_with_its_record(shards):
    index = index_records(shards)
    damage(shards[2], int(index["start"][5]) + 40)
    with pytest.raises(MissingData, match=r"record 1 of x-train\.tfrecord-00002-of-00003: DataLossError"):
        index_records(shards)
    records = Records(shards, index)
    with pytest.raises(tf.errors.DataLossError):
        records[5].read_bytes()
    assert records[6].read_bytes() == bytes([2, 2]) * 52, "the others are as they were"


@pytest.mark.parametrize("cut", [1, 4, 60, 100])
def test_a_shard_that_is_cut_short(shards, cut):
    raw = shards[2].read_bytes()
    shards[2].write_bytes(raw[:-cut])
    with pytest.raises(MissingData, match=r"record [12] of x-train\.tfrecord-00002-of-00003"):
        index_records(shards)


def test_an_example_of_something_else(tmp_path):
    path = tmp_path / "x"
    with tf.io.TFRecordWriter(str(path)) as file:
        file.write(tf.train.Example().SerializeToString())
    with pytest.raises(MissingData, match="record 0 of x: "):
        index_records([path])


def test_no_records_at_all():
    assert len(Records([], np.array([], INDEX))) == 0
    assert str(Record("shard", 3, 100)) == "shard, record 3"
