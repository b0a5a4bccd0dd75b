"""Folding: nothing changes but the number of layers."""

import keras
import numpy as np
import pytest

from kerastl.model.fold import fold
from kerastl.model.graph import build_model
from kerastl.schema import ModelSpec

L = keras.layers


def disturbed(model, seed=0):
    """Statistics and offsets as training leaves them; fresh ones would hide a mistake."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return model


def norms(model):
    return sum(isinstance(layer, L.BatchNormalization) for layer in model.layers)


def chain(*layers):
    x = image = keras.Input((8, 8, 6))
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


CASES = {
    "conv": (chain(L.Conv2D(4, 3), L.BatchNormalization()), 0),
    "conv without bias": (chain(L.Conv2D(4, 3, use_bias=False), L.BatchNormalization(), L.ReLU()), 0),
    "grouped": (chain(L.Conv2D(4, 3, groups=2), L.BatchNormalization()), 0),
    "depthwise": (chain(L.DepthwiseConv2D(3, depth_multiplier=2), L.BatchNormalization()), 0),
    "separable": (chain(L.SeparableConv2D(4, 3, use_bias=False), L.BatchNormalization()), 0),
    "dense": (chain(L.Dense(5), L.BatchNormalization(center=False)), 0),
    "no scale": (chain(L.Conv2D(4, 3), L.BatchNormalization(scale=False)), 0),
    "behind an activation": (chain(L.Conv2D(4, 3, activation="relu"), L.BatchNormalization()), 1),
    "another axis": (chain(L.Conv2D(4, 3), L.BatchNormalization(axis=1)), 1),
    "alone": (chain(L.BatchNormalization(), L.ReLU()), 1),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_merged_and_what_stays(name):
    model, left = disturbed(CASES[name][0]), CASES[name][1]
    before, images = model.get_weights(), np.random.default_rng(1).normal(size=(2, 8, 8, 6)).astype("float32")
    folded = fold(model)
    assert norms(folded) == left
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-4, atol=1e-5)
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def test_a_convolution_that_two_layers_read_keeps_its_output():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same")(image)
    model = disturbed(keras.Model(image, L.Add()([x, L.BatchNormalization()(x)])))
    assert norms(fold(model)) == 1


@pytest.mark.parametrize("backbone", ["ResNet50", "MobileNetV2", "EfficientNetB0"])
def test_a_whole_backbone(backbone):
    model = disturbed(build_model(ModelSpec(backbone, "none", 32), (32, 32, 3), 5))
    features = keras.Model(model.input, model.get_layer("features").output)
    folded = fold(features)
    assert norms(features) > 40 and norms(folded) == 0
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    one, other = (np.asarray(it(images, training=False)) for it in (features, folded))
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-3 * np.abs(one).max())
