"""Grad-CAM shows where the evidence is, in closed form and in known corners, for any flat graph, and forgets its models."""

import gc
import weakref

import keras
import numpy as np
import pytest

from kerastl.errors import UserError
from kerastl.evaluate.gradcam import explainable, gradcam, overlay
from kerastl.model.graph import build_model
from kerastl.schema import ModelSpec

SIDE = 16
CORNERS = {
    0: (slice(0, 8), slice(0, 8)),
    1: (slice(0, 8), slice(8, 16)),
    2: (slice(8, 16), slice(0, 8)),
    3: (slice(8, 16),) * 2,
}
COLOURS = ("red", "green", "blue")
RANDOM = np.random.default_rng(0)


def with_patches(n, **corner_of):
    """Dim noise, and a bright patch of each colour that is named somewhere in its corner."""
    images = RANDOM.integers(0, 40, (n, SIDE, SIDE, 3)).astype(np.uint8)
    for image in images:
        for colour, corner in corner_of.items():
            row, column = RANDOM.integers(0, 5, 2)
            image[CORNERS[corner]][row : row + 4, column : column + 4, COLOURS.index(colour)] = 255
    return images


@pytest.fixture(scope="module")
def trained():
    """A network that was taught, in a second, to tell red patches from green and blue ones."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="edges")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.BatchNormalization(momentum=0.8)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="maps")(x)
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x, name="colours")
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    images = np.concatenate([with_patches(40, **{colour: corner}) for colour in COLOURS for corner in CORNERS])
    model.fit(images, np.repeat(range(3), 160), epochs=5, verbose=0)
    return model


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("layer", [None, "edges"])
def test_the_evidence_is_in_its_corner(trained, corner, layer):
    """Of two patches the one of the class that is asked about, and alone the one that decided."""
    opposite = 3 - corner
    both, one = with_patches(20, red=corner, blue=opposite), with_patches(20, green=corner)
    assert (trained.predict(one, verbose=0).argmax(axis=1) == 1).all(), "it knows"
    for images, asked, expected in ((both, 0, corner), (both, 2, opposite), (one, None, corner)):
        heat = gradcam(trained, images, asked, layer)
        assert heat.shape == (20, SIDE, SIDE) and heat.dtype == np.float32
        np.testing.assert_allclose(heat.max(axis=(1, 2)), 1.0)
        parts = [heat[:, *CORNERS[it]] for it in CORNERS]
        for measure in (np.max, np.sum):
            most = np.argmax([measure(part, axis=(1, 2)) for part in parts], axis=0)
            assert (most == expected).mean() >= 0.95, measure.__name__


def linear(policy="float32", classes=3):
    """Image, 1x1 convolution, mean, logits, softmax: all of which can be written down."""
    image = keras.Input((6, 6, 3), name="image")
    maps = keras.layers.Conv2D(4, 1, name="maps", dtype=policy)(image)
    features = keras.layers.GlobalAveragePooling2D(name="features", dtype="float32")(maps)
    logits = keras.layers.Dense(classes, name="logits", dtype="float32")(features)
    model = keras.Model(image, keras.layers.Activation("softmax", dtype="float32")(logits))
    for weight in model.weights:
        weight.assign(np.random.default_rng(weight.shape[0]).normal(0, 0.1, weight.shape))
    return model


def closed_form(model, images, classes):
    """The gradient of a logit by a map is the logit's weight over the number of places, everywhere."""
    kernel, bias = model.get_layer("maps").get_weights()
    maps = images @ kernel[0, 0] + bias
    heat = np.maximum(np.einsum("nhwc,cn->nhw", maps, model.get_layer("logits").get_weights()[0][:, classes]), 0)
    return heat / heat.max(axis=(1, 2), keepdims=True)


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.1), ("mixed_float16", 0.01)])
def test_a_linear_network_in_closed_form(policy, tolerance):
    model, images = linear(policy), np.random.default_rng(1).integers(0, 256, (70, 6, 6, 3)).astype(np.float32)
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    others = (predicted + 1) % 3
    for classes, asked in ((predicted, None), (others, others), (np.full(70, 2), 2)):
        np.testing.assert_allclose(gradcam(model, images, asked), closed_form(model, images, classes), atol=tolerance)


def test_the_softmax_of_the_last_dense_layer_is_left_out():
    """A softmax that is sure of itself has no gradient; the logit has."""
    apart, images = linear(), np.random.default_rng(1).integers(0, 256, (5, 6, 6, 3), dtype=np.uint8)
    sure = 1e4 * apart.get_layer("logits").get_weights()[0]
    apart.get_layer("logits").set_weights([sure, np.zeros(3)])
    dense = keras.layers.Dense(3, activation="softmax")
    together = keras.Model(apart.input, dense(apart.get_layer("features").output))
    dense.set_weights([sure, np.zeros(3)])
    assert together.predict(images, verbose=0).max(axis=1).min() == 1.0
    np.testing.assert_allclose(gradcam(together, images), gradcam(apart, images), atol=1e-5)


def test_frozen_or_not_it_is_the_same_and_nothing_moves(trained):
    images, before = with_patches(3, red=1), [np.array(weight) for weight in trained.weights]
    free = gradcam(trained, images)
    trained.trainable = False
    try:
        np.testing.assert_array_equal(gradcam(keras.models.clone_model(trained), images[:0]).shape, (0, SIDE, SIDE))
        frozen = linear()
        frozen.trainable = False
        assert gradcam(frozen, images[:, :6, :6]).max() == 1.0, "no variable that learns, and still a gradient"
        np.testing.assert_array_equal(gradcam(trained, images), free)
    finally:
        trained.trainable = True
    for weight, was in zip(trained.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_it_follows_the_weights():
    model, images = linear(), np.random.default_rng(1).integers(0, 256, (2, 6, 6, 3)).astype(np.float32)
    first = gradcam(model, images, 0)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([-kernel, bias])
    assert not np.allclose(gradcam(model, images, 0), first)
    np.testing.assert_allclose(gradcam(model, images, 0), closed_form(model, images, np.zeros(2, int)), atol=1e-5)


def test_no_evidence_is_all_zeros():
    model = linear()
    model.get_layer("logits").set_weights([np.zeros((4, 3)), np.zeros(3)])
    assert not gradcam(model, np.full((2, 6, 6, 3), 200)).any()


def test_what_kerastl_builds_at_another_size():
    model = build_model(ModelSpec("SmallCNN", weights="none", image_size=64, features="max"), (20, 30, 3), 5)
    there = list(explainable(model))
    assert there[0] == "block1_conv" and there[-1] == "block5_pool" and "resize" not in there
    images = RANDOM.integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    heat = gradcam(model, images)
    assert heat.shape == (2, 20, 30)
    np.testing.assert_array_equal(gradcam(model, images, layer="block5_pool"), heat)
    assert gradcam(model, images, layer="block2_conv").shape == (2, 20, 30)


FAMILIES = (
    "ResNet50V2",
    "VGG16",
    "DenseNet121",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
    "MobileNetV3Small",
    "InceptionV3",
    "Xception",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_any_backbone_and_layer(name):
    model = build_model(ModelSpec(name, weights="none", image_size=96), (40, 48, 3), 5)
    images, there = RANDOM.integers(0, 256, (2, 40, 48, 3), dtype=np.uint8), list(explainable(model))
    for layer in (None, *there[:: len(there) // 3]):
        heat = gradcam(model, images, layer=layer)
        assert heat.shape == (2, 40, 48) and np.isfinite(heat).all() and set(heat.max(axis=(1, 2))) <= {0.0, 1.0}


def test_a_sequential_model_and_one_that_shares_its_layers():
    """Such layers were called before, for other graphs."""
    functional, images = linear(), np.random.default_rng(1).integers(0, 256, (3, 6, 6, 3), dtype=np.uint8)
    shared = keras.Sequential([keras.Input((6, 6, 3)), *functional.layers[1:]])
    assert list(explainable(shared)) == ["maps"]
    np.testing.assert_allclose(gradcam(shared, images), gradcam(functional, images), atol=1e-6)


def test_a_backbone_that_is_one_layer_of_the_model():
    inner = linear()
    inner = keras.Model(inner.input, inner.get_layer("maps").output, name="backbone")
    image = keras.Input((6, 6, 3))
    features = keras.layers.GlobalAveragePooling2D()(inner(image, training=False))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(features))
    assert list(explainable(model)) == ["backbone"]
    assert gradcam(model, np.full((1, 6, 6, 3), 9)).shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"layer": "mpas"}, r"no(ne| layer).*'mpas'; did you mean 'maps'\? valid: maps"),
        ({"layer": "features"}, "none with maps that is named 'features'; valid: maps"),
        ({"classes": 3}, "found 3; expected whole numbers from 0 to 2, as there are 3 classes"),
        ({"classes": [0, -1]}, "found -1"),
    ],
)
def test_what_cannot_be_shown_is_told(options, told):
    with pytest.raises(UserError, match=told):
        gradcam(linear(), np.zeros((2, 6, 6, 3)), **options)


def test_a_network_without_maps_is_told():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
    with pytest.raises(UserError, match="no layer gives maps"):
        gradcam(model, np.zeros((1, 4, 4, 3)))


def test_a_model_is_compiled_once_and_let_go():
    from kerastl.evaluate import gradcam as module

    model, images = linear(), np.zeros((40, 6, 6, 3), np.uint8)
    for n in (40, 3, 1):
        gradcam(model, images[:n])
    (function,) = module._compiled[model].values()
    assert function.experimental_get_tracing_count() == 1
    held = weakref.ref(model)
    del model, function
    gc.collect()
    assert held() is None, "what was compiled for it does not keep it"


@pytest.mark.parametrize(("shape", "heat"), [((40, 30, 3), (7, 7)), ((8, 8, 3), (8, 8)), ((5, 9, 3), (1, 1))])
def test_an_overlay_shows_image_and_heat(shape, heat):
    image = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    cold, hot = overlay(image, np.zeros(heat)), overlay(image, np.ones(heat))
    assert cold.shape == hot.shape == shape and cold.dtype == hot.dtype == np.uint8
    assert hot.mean() > cold.mean() + 40, "brighter where it is hot, whatever the eye makes of the colours"
    assert cold.std() > 5, "the image is seen through"


def test_an_overlay_is_smooth():
    steps = np.abs(np.diff(overlay(np.zeros((64, 64, 3), np.uint8), np.eye(2)).astype(int), axis=0))
    assert steps.max() < 30, "no edges between the places of a coarse map"
