"""tfds:NAME, from a dataset made here."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image, ImageOps

from kerastl.data.cache import CACHES
from kerastl.data.catalogue import load_catalogue
from kerastl.data.check import check
from kerastl.data.load import load
from kerastl.data.records import Record
from kerastl.errors import MissingData, UserError
from kerastl.schema import DataSpec


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A function that stores a dataset of 60 images in two classes under a name, and gives its data_dir."""
    folder = tmp_path_factory.mktemp("catalogue")

    def store(name, shape, sizes, **options):
        random = np.random.default_rng(0)
        channels = shape[2]
        images = [random.integers(0, 256, (*size, channels), dtype=np.uint8) for size in sizes]
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=["no", "yes"])}
        )
        rows = [(i, {"image": image, "label": i % 2}) for i, image in enumerate(images)]
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name, version="1.0.0", data_dir=folder, features=features, split_datasets={"train": rows}, **options
        )
        return str(folder)

    return store


def test_fixed_size(stored):
    folder = stored("fixed", (12, 12, 3), [(12, 12)] * 60)
    data = load(DataSpec("tfds:fixed", dir=folder), 24)
    assert data.shape == (12, 12, 3) and data.class_names == ("no", "yes")
    assert len(data.train) + len(data.validation) + len(data.test) == 60


def test_it_is_found_where_tensorflow_datasets_keeps_its_own(stored, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", stored("usual", (12, 12, 3), [(12, 12)] * 60))
    assert len(load(DataSpec("tfds:usual"), 24).class_names) == 2


def test_grey_becomes_rgb(stored):
    assert load(DataSpec("tfds:grey", dir=stored("grey", (12, 12, 1), [(12, 12)] * 60)), 24).shape == (12, 12, 3)


def test_varying_size_becomes_squares(stored):
    folder = stored("varying", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    data = load(DataSpec("tfds:varying", dir=folder), 24)
    assert data.shape == (24, 24, 3) and data.test.pixels[:2].shape == (2, 24, 24, 3)


@pytest.mark.parametrize(
    ("shape", "sizes"), [((12, 10, 1), [(12, 10)] * 60), ((None, None, 3), [(10 + i % 7, 12) for i in range(60)])]
)
@pytest.mark.parametrize("cache", CACHES)
def test_it_is_what_tensorflow_datasets_reads(stored, shape, sizes, cache):
    """Pixels and labels, in the order of the file."""
    name = f"as_{shape[2]}_{cache}"
    folder = stored(name, shape, sizes)
    source = load_catalogue(DataSpec(f"tfds:{name}", dir=folder, cache=cache), 24)
    rows = list(tfds.load(name, data_dir=folder, split="train").as_numpy_iterator())
    assert source.train.labels.tolist() == [row["label"] for row in rows]
    middle = [Image.fromarray(np.repeat(row["image"], 3 // shape[2], axis=2)) for row in rows]
    side = source.train.shape[1::-1]
    expected = [np.asarray(ImageOps.fit(image, side, Image.Resampling.BILINEAR)) for image in middle]
    np.testing.assert_array_equal(source.train.pixels[:], expected)


def test_what_is_read_again_is_neither_held_nor_opened_before_it_is_asked_for(stored, monkeypatch):
    folder = stored("streamed", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    read = []
    monkeypatch.setattr(Record, "read_bytes", lambda record: read.append(record.number) or b"")
    data = load(DataSpec("tfds:streamed", dir=folder, cache="none"), 24)
    assert not read and data.train.digests.shape == (len(data.train),), "digests are those of the index"
    both = data.train.joined(data.test).subset(np.arange(3))
    with pytest.raises(
        UserError, match=r"streamed-train\.tfrecord-00000-of-00001, record \d+: cannot be read .*is empty"
    ):
        both.pixels[:]
    assert len(read) == 1


def test_the_second_run_finds_the_index(stored, monkeypatch):
    folder = stored("again", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    spec = DataSpec("tfds:again", dir=folder, cache="disk")
    first = load(spec, 24)
    monkeypatch.setattr("kerastl.data.catalogue.index_records", None)
    monkeypatch.setattr(Record, "read_bytes", None)
    again = load(spec, 24)
    np.testing.assert_array_equal(again.train.pixels[:], first.train.pixels[:])
    np.testing.assert_array_equal(again.train.labels, first.train.labels)


def test_an_image_that_is_none_is_named(stored, monkeypatch):
    folder = stored("broken", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    read = Record.read_bytes
    monkeypatch.setattr(Record, "read_bytes", lambda record: b"x" if record.number in (7, 9) else read(record))
    with pytest.raises(MissingData, match=r"tfrecord-00000-of-00001, record 7 cannot be read.*nor can 1 others"):
        load(DataSpec("tfds:broken", dir=folder), 24)


def test_another_file_format_is_told(stored):
    folder = stored("arrays", (12, 12, 3), [(12, 12)] * 60, file_format="array_record")
    with pytest.raises(UserError, match=r"in the format array_record; expected tfrecord: convert them with"):
        load(DataSpec("tfds:arrays", dir=folder), 24)


def test_an_image_is_no_mere_array(tmp_path):
    features = {
        "image": tfds.features.Tensor(shape=(2, 2, 3), dtype=np.uint8),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    rows = [(i, {"image": np.zeros((2, 2, 3), np.uint8), "label": i % 2}) for i in range(4)]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tensor",
        version="1.0.0",
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": rows},
    )
    with pytest.raises(UserError, match=r"found the image Tensor.*; expected an Image"):
        load(DataSpec("tfds:tensor", dir=str(tmp_path)), 24)


def test_check_goes_through_the_records(stored):
    folder = stored("checked", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    found = check("tfds:checked", folder)
    assert found["usable"] and found["formats"] == {"PNG": 60} and found["sizes"]["height"]["max"] == 16


def test_unknown_dataset(tmp_path):
    with pytest.raises(MissingData, match=r"(?s)tfds:no_such_dataset: not prepared in .*--data-dir"):
        load(DataSpec("tfds:no_such_dataset", dir=str(tmp_path)), 24)


@pytest.mark.parametrize(
    "name", ["kaggle:flowers", "huggingface:x/y", "mnist/data_dir=.", "../mnist", "mnist:1.0.0/x=1"]
)
def test_the_code_of_a_community_is_not_downloaded(name):
    with pytest.raises(UserError, match=r"expected tfds:NAME.*would run code from the internet"):
        load(DataSpec(f"tfds:{name}"), 24)
