"""What needs the internet: `pytest -m network`. Not run in CI, which has none."""

import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.model.graph import build_model
from kerastl.schema import DataSpec, ModelSpec

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def nothing_at_home():
    """Downloads go where the user keeps them."""


@pytest.mark.parametrize(("name", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_downloads(name, classes):
    data = load(DataSpec(name), 32)
    assert (len(data.train) + len(data.validation), len(data.test)) == (50_000, 10_000)
    assert len(data.class_names) == classes


@pytest.mark.parametrize("backbone", ["ResNet50", "MobileNetV2", "hub:resnet_18_imagenet"])
def test_imagenet_weights_download_and_mean_something(backbone):
    """A linear probe on a few hundred images is far above chance with real features only."""
    import keras
    from sklearn.linear_model import LogisticRegression

    data = load(DataSpec("cifar10", limit=1000, validation=0.5), 96)
    model = build_model(ModelSpec(backbone, image_size=96), data.shape, 10)
    features = keras.Model(model.input, model.get_layer("features").output)
    train, test = (features.predict(images.pixels, verbose=0) for images in (data.train, data.validation))
    probe = LogisticRegression(max_iter=500).fit(train / np.abs(train).max(), data.train.labels)
    assert probe.score(test / np.abs(train).max(), data.validation.labels) > 0.5
