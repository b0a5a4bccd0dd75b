"""CIFAR in both layouts, from tiny files made here."""

import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerastl.data import cifar
from kerastl.data.load import load
from kerastl.errors import MissingData
from kerastl.schema import DataSpec

N = 200


def pixels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def keras_layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    for layout in cifar.LAYOUTS.values():
        (folder / layout.folder).mkdir()
        classes = len(layout.class_names)
        for i, file in enumerate((*layout.train_files, layout.test_file)):
            flat = pixels(N, seed=i).transpose(0, 3, 1, 2).reshape(N, -1)
            batch = {b"data": flat, layout.label_key.encode(): (np.arange(N) % classes).tolist()}
            (folder / layout.folder / file).write_bytes(pickle.dumps(batch))
    return folder


@pytest.fixture(scope="module")
def tfds_layout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    features = tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3)),
            "label": tfds.features.ClassLabel(names=cifar.CIFAR10),
        }
    )
    rows = {
        split: [(i, {"id": f"{split}_{i}", "image": image, "label": i % 10}) for i, image in enumerate(pixels(N, seed))]
        for seed, split in enumerate(("train", "test"))
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="cifar10", version="3.0.2", data_dir=folder, features=features, split_datasets=rows, disable_shuffling=True
    )
    return folder


def test_keras_layout(keras_layout):
    data = load(DataSpec("cifar10", dir=str(keras_layout), validation=0.1), 32)
    assert (len(data.train), len(data.validation), len(data.test)) == (900, 100, 200)
    np.testing.assert_array_equal(data.test.pixels, pixels(N, seed=5))
    np.testing.assert_array_equal(data.test.labels, np.arange(N) % 10)
    assert data.class_names == cifar.CIFAR10


def test_tfds_layout(tfds_layout):
    data = load(DataSpec("cifar10", dir=str(tfds_layout), validation=0.1), 32)
    assert (len(data.train), len(data.validation), len(data.test)) == (180, 20, 200)
    np.testing.assert_array_equal(data.test.pixels, pixels(N, seed=1))


def test_the_usual_places_are_found(keras_layout, tfds_layout, monkeypatch, tmp_path):
    (tmp_path / "datasets").symlink_to(keras_layout)
    (tmp_path / "prepared").symlink_to(tfds_layout)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", "~")
    assert cifar.find(DataSpec("cifar100"))[0] == "keras"
    monkeypatch.setenv("TFDS_DATA_DIR", "~/prepared")
    assert cifar.find(DataSpec("cifar10"))[0] == "tfds"


@pytest.mark.parametrize(("labels", "classes", "superclasses"), [("fine", 100, 100), ("coarse", 20, None)])
def test_coarse_classes(keras_layout, labels, classes, superclasses):
    data = load(DataSpec("cifar100", dir=str(keras_layout), labels=labels, validation=0.0), 32)
    assert len(data.class_names) == classes and data.test.labels.max() < classes
    assert (data.superclasses and len(data.superclasses)) == superclasses
    if superclasses:
        assert data.superclasses[data.class_names.index("maple_tree")] == "trees"


def test_names_are_the_published_ones():
    assert len(cifar.CIFAR100) == 100 and len(cifar.SUPERCLASSES) == 20
    assert cifar.CIFAR100[0] == "apple" and cifar.CIFAR100[-1] == "worm"


def test_missing_data_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(MissingData) as caught:
        load(DataSpec("cifar10", dir=str(tmp_path)), 32)
    for part in (str(tmp_path), "dataset_info.json", "cifar-10-batches-py/test_batch", "--data-dir", "--sample"):
        assert part in str(caught.value)


def test_a_failed_download_says_so(monkeypatch):
    import keras

    def offline():
        raise OSError("URL fetch failure")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    with pytest.raises(MissingData, match=r"the download failed \(OSError: URL fetch failure\).*--data-dir.*--sample"):
        load(DataSpec("cifar10"), 32)


def test_broken_files_are_named(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    for file in (*cifar.LAYOUTS["cifar10"].train_files, "test_batch"):
        (tmp_path / "cifar-10-batches-py" / file).write_bytes(b"not a batch")
    with pytest.raises(MissingData, match="cannot be read as cifar10"):
        load(DataSpec("cifar10", dir=str(tmp_path)), 32)
