"""Cuts: where they are, and that trunk and tail are the model."""

import keras
import numpy as np
import pytest

from kerastl.model.cut import cuts, multiply_adds, split
from kerastl.model.graph import build_model
from kerastl.schema import ModelSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def mobile():
    return build_model(ModelSpec("MobileNetV2", "none", 48, options={"alpha": 0.35}), (32, 32, 3), 5)


def test_a_block_with_a_shortcut_is_cut_only_where_it_is_joined(mobile):
    found = [layer.name for layer in cuts(mobile)]
    assert found[:3] == ["image", "resize", "preprocess"] and found[-1] == "probabilities"
    assert "block_2_add" in found and "features" in found
    assert "block_2_expand" not in found, "the shortcut goes past it"
    assert "block_1_expand" in found, "this block has no shortcut"


@pytest.mark.parametrize("layer", ["preprocess", "block_2_add", "block_13_expand", "features", "logits"])
def test_trunk_and_tail_are_the_model(mobile, layer):
    trunk, tail = split(mobile, layer)
    whole = mobile.predict(IMAGES, verbose=0)
    np.testing.assert_array_equal(tail.predict(trunk.predict(IMAGES, verbose=0), verbose=0), whole)
    assert {id(v) for v in trunk.variables} | {id(v) for v in tail.variables} == {id(v) for v in mobile.variables}


def test_multiply_adds_in_closed_form():
    x = image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    assert multiply_adds(keras.Model(image, x).layers) == 3 * 3 * 3 * 4 * 16 + 3 * 3 * 4 * 16 + 64 * 10
