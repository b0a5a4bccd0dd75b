"""The graph: flat, built-in, fed with raw pixels, the same as Keras' own preprocessing and backbone."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kerastl.errors import RecipeError
from kerastl.model.graph import at_size, build_model
from kerastl.schema import HeadSpec, ModelSpec, Normalize

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
CNN = ModelSpec("SmallCNN", weights="none", image_size=32)


def up_to(model, layer):
    return keras.Model(model.input, model.get_layer(layer).output)


MODES = [
    ("ResNet50", "backbone", keras.applications.resnet.preprocess_input),
    ("MobileNetV2", "backbone", keras.applications.mobilenet_v2.preprocess_input),
    ("DenseNet121", "backbone", keras.applications.densenet.preprocess_input),
    (
        "MobileNetV2",
        Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        lambda x: (x / 255 - (0.4914, 0.4822, 0.4465)) / (0.2023, 0.1994, 0.2010),
    ),
]


@pytest.mark.parametrize(("backbone", "preprocessing", "reference"), MODES)
def test_preprocessing_is_keras_own(backbone, preprocessing, reference):
    model = build_model(ModelSpec(backbone, "none", 32, preprocessing=preprocessing), (32, 32, 3), 4)
    ours = up_to(model, "preprocess").predict(PIXELS, verbose=0)
    np.testing.assert_allclose(ours, reference(PIXELS.astype("float64")), atol=1e-4)


@pytest.mark.parametrize("backbone", ["EfficientNetB0", "MobileNetV3Small", "ConvNeXtTiny"])
def test_backbones_that_hold_their_own_preprocessing_get_none(backbone):
    model = build_model(ModelSpec(backbone, "none", 32), (32, 32, 3), 4)
    assert "preprocess" not in [layer.name for layer in model.layers]


def test_the_graph_is_flat_built_in_and_says_what_goes_in():
    model = build_model(ModelSpec("MobileNetV2", "none", 64), (32, 32, 3), 7)
    assert model.input.name == "image" and model.input_shape == (None, 32, 32, 3) and model.output_shape == (None, 7)
    assert all(layer.__module__.startswith("keras.src.") for layer in model.layers)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert {"resize", "preprocess", "features", "logits", "probabilities"} <= {layer.name for layer in model.layers}
    for name in ("resize", "preprocess", "features", "logits", "probabilities"):
        assert model.get_layer(name).compute_dtype == "float32"


def test_images_of_the_right_size_are_not_resized():
    assert "resize" not in [layer.name for layer in build_model(CNN, (32, 32, 3), 4).layers]


def test_the_features_are_those_of_the_plain_backbone():
    """Inlining the backbone on resize and preprocessing changes nothing, weights and all."""
    keras.utils.set_random_seed(0)
    model = build_model(
        ModelSpec("MobileNetV2", "none", 64, preprocessing="none", options={"alpha": 0.35}), (32, 32, 3), 4
    )
    plain = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(64, 64, 3), alpha=0.35)
    random = np.random.default_rng(0)
    for layer in plain.layers:
        layer.set_weights([random.uniform(0.1, 0.9, w.shape) for w in layer.get_weights()])
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    resized = keras.layers.Resizing(64, 64)(PIXELS.astype("float32"))
    expected = np.asarray(plain(resized, training=False)).mean(axis=(1, 2))
    np.testing.assert_allclose(up_to(model, "features").predict(PIXELS, verbose=0), expected, rtol=1e-4)


def test_resizing_does_not_switch_on_training():
    """Unset, keras.layers.Resizing hands training=True to every later layer of a plainly called model.

    Both halves are pinned: if the first assertion fails, Keras has mended it; if one of the others does, we are off.
    """

    def normalised(**resizing):
        image = keras.Input((8, 8, 3), name="image")
        x = keras.layers.Resizing(4, 4)(image, **resizing)
        return keras.Model(image, keras.layers.BatchNormalization()(x))

    images = PIXELS[:, :8, :8].astype("float32")
    leaks, sound = normalised(), normalised(training=False)
    assert np.abs(leaks(images) - leaks.predict(images, verbose=0)).max() > 0.1
    np.testing.assert_array_equal(sound(images), sound.predict(images, verbose=0))
    assert np.abs(sound(images, training=True) - sound(images)).max() > 0.1, "fit still reaches the later layers"
    model = build_model(ModelSpec("SmallCNN", "none", 64), (32, 32, 3), 4)
    np.testing.assert_allclose(model(PIXELS), model.predict(PIXELS, verbose=0), atol=1e-6)


HEADS = [
    (HeadSpec(), []),
    (HeadSpec(dropout=0.3), ["head_dropout1"]),
    (HeadSpec((16,)), ["head_dense1"]),
    (HeadSpec((16, 8), "linear", (0.5, 0.2, 0.0)), ["head_dropout1", "head_dense1", "head_dropout2", "head_dense2"]),
]


@pytest.mark.parametrize(("head", "layers"), HEADS)
def test_heads(head, layers):
    model = build_model(ModelSpec("SmallCNN", "none", 32, head=head), (32, 32, 3), 4)
    names = [layer.name for layer in model.layers]
    assert names[names.index("features") + 1 :] == [*layers, "logits", "probabilities"]
    if "head_dense1" in layers:
        assert model.get_layer("head_dense1").activation.__name__ == head.activation
    np.testing.assert_allclose(model(PIXELS).numpy().sum(axis=1), 1, rtol=1e-5)


def test_the_small_cnn_has_the_published_size():
    model = build_model(ModelSpec("SmallCNN", "none", 32, head=HeadSpec((256,))), (32, 32, 3), 100)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 846_308


@pytest.mark.parametrize("features", ["avg", "max", "block4_pool"])
def test_features(features):
    model = build_model(ModelSpec("SmallCNN", "none", 32, features=features), (32, 32, 3), 4)
    pool = keras.layers.GlobalMaxPooling2D if features == "max" else keras.layers.GlobalAveragePooling2D
    assert isinstance(model.get_layer("features"), pool)
    assert ("block5_conv" in [layer.name for layer in model.layers]) == (features != "block4_pool")


def test_the_head_can_read_the_thousand_imagenet_probabilities():
    model = build_model(ModelSpec("MobileNetV2", "none", 32, features="predictions"), (32, 32, 3), 4)
    assert model.get_layer("logits").kernel.shape == (1000, 4)


MOBILE = ModelSpec("MobileNetV2", "glyphs", options={"alpha": 0.35})


@pytest.mark.parametrize(("spec", "size", "other"), [(MOBILE, 64, 96), (CNN, 32, 64), (CNN, 64, 32)])
def test_another_size_is_another_resize_and_nothing_else(spec, size, other):
    spec = replace(spec, image_size=size)
    keras.utils.set_random_seed(0)
    model = build_model(spec, (32, 32, 3), 5)
    copy = at_size(model, other)
    keras.utils.set_random_seed(0)
    built = build_model(replace(spec, image_size=other), (32, 32, 3), 5)
    assert copy.get_layer("features").input.shape == built.get_layer("features").input.shape
    images = PIXELS.astype("float32")
    np.testing.assert_allclose(copy(images), built(images), rtol=1e-5, atol=1e-6)
    copy.get_layer("logits").set_weights([w + 1 for w in copy.get_layer("logits").get_weights()])
    assert np.abs(model.get_layer("logits").get_weights()[1]).max() == 0, "weights of its own"


def test_a_backbone_bound_to_its_size_says_so(tmp_path):
    image = keras.Input((32, 32, 3))
    x = keras.layers.Dense(4)(keras.layers.Flatten()(image))
    keras.Model(image, x).save(tmp_path / "flat.keras")
    model = build_model(ModelSpec(str(tmp_path / "flat.keras"), "none", 32), (32, 32, 3), 5)
    with pytest.raises(RecipeError, match="image_size: this backbone cannot take images of side 48 as well"):
        at_size(model, 48)
