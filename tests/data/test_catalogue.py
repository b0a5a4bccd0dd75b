"""tfds:NAME, from a dataset made here."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerastl.data.load import load
from kerastl.errors import MissingData, UserError
from kerastl.schema import DataSpec


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A function that stores a dataset of 60 images in two classes under a name, and gives its data_dir."""
    folder = tmp_path_factory.mktemp("catalogue")

    def store(name, shape, sizes):
        random = np.random.default_rng(0)
        channels = shape[2]
        images = [random.integers(0, 256, (*size, channels), dtype=np.uint8) for size in sizes]
        features = tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=["no", "yes"])}
        )
        rows = [(i, {"image": image, "label": i % 2}) for i, image in enumerate(images)]
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name, version="1.0.0", data_dir=folder, features=features, split_datasets={"train": rows}
        )
        return str(folder)

    return store


def test_fixed_size(stored):
    folder = stored("fixed", (12, 12, 3), [(12, 12)] * 60)
    data = load(DataSpec("tfds:fixed", dir=folder), 24)
    assert data.shape == (12, 12, 3) and data.class_names == ("no", "yes")
    assert len(data.train) + len(data.validation) + len(data.test) == 60


def test_grey_becomes_rgb(stored):
    assert load(DataSpec("tfds:grey", dir=stored("grey", (12, 12, 1), [(12, 12)] * 60)), 24).shape == (12, 12, 3)


def test_varying_size_stays_encoded(stored):
    folder = stored("varying", (None, None, 3), [(10 + i % 7, 12) for i in range(60)])
    data = load(DataSpec("tfds:varying", dir=folder), 24)
    assert data.shape == (24, 24, 3) and data.test.pixels[:2].shape == (2, 24, 24, 3)
    assert not isinstance(data.train.pixels, np.ndarray)


def test_unknown_dataset(tmp_path):
    with pytest.raises(MissingData, match=r"(?s)tfds:no_such_dataset: not prepared in .*--data-dir"):
        load(DataSpec("tfds:no_such_dataset", dir=str(tmp_path)), 24)


@pytest.mark.parametrize(
    "name", ["kaggle:flowers", "huggingface:x/y", "mnist/data_dir=.", "../mnist", "mnist:1.0.0/x=1"]
)
def test_the_code_of_a_community_is_not_downloaded(name):
    with pytest.raises(UserError, match=r"expected tfds:NAME.*would run code from the internet"):
        load(DataSpec(f"tfds:{name}"), 24)
