"""Backbones and their weights: files whole and cut, KerasHub, one's own; and what is said when they do not fit."""

import keras
import numpy as np
import pytest

from kerastl.errors import MissingExtra, MissingWeights, RecipeError, UntrustedFile
from kerastl.model.graph import build_model
from kerastl.model.pretrained import SHIPPED, pretrained
from kerastl.model.small_cnn import small_cnn
from kerastl.schema import HeadSpec, ModelSpec, Normalize

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights of the small network, whole and up to block4, and the network itself as .keras."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(1)
    whole = small_cnn((32, 32, 3))
    whole.save_weights(folder / "whole.weights.h5")
    keras.Model(whole.input, whole.get_layer("block4_pool").output).save_weights(folder / "cut.weights.h5")
    whole.save(folder / "whole.keras")
    return folder, whole


@pytest.mark.parametrize(("file", "features"), [("whole", "avg"), ("whole", "block4_pool"), ("cut", "block4_pool")])
def test_weights_from_a_file(files, file, features):
    folder, whole = files
    model = pretrained(ModelSpec("SmallCNN", str(folder / f"{file}.weights.h5"), 32, features)).model
    for layer in [layer for layer in model.layers if layer.weights]:
        for ours, theirs in zip(layer.get_weights(), whole.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_file_of_another_architecture(files):
    folder, _ = files
    with pytest.raises(MissingWeights, match=r"cut\.weights\.h5 does not fit SmallCNN with features 'avg'"):
        pretrained(ModelSpec("SmallCNN", str(folder / "cut.weights.h5"), 32))


def test_a_file_that_is_no_weights_file(tmp_path):
    (tmp_path / "x.weights.h5").write_bytes(b"nothing")
    with pytest.raises(UntrustedFile, match="cannot be read as HDF5"):
        pretrained(ModelSpec("SmallCNN", str(tmp_path / "x.weights.h5"), 32))


def test_a_model_of_ones_own_as_backbone(files):
    folder, whole = files
    model = build_model(ModelSpec(str(folder / "whole.keras"), image_size=32), (32, 32, 3), 4)
    ours = keras.Model(model.input, model.get_layer("features").output)(PIXELS)
    np.testing.assert_allclose(
        ours, whole(PIXELS.astype("float32"), training=False).numpy().mean(axis=(1, 2)), rtol=1e-5
    )


MISTAKES = [
    (ModelSpec("ResNet5", "none", 32), RecipeError, "found 'ResNet5'; did you mean 'ResNet50'.*hub:PRESET"),
    (ModelSpec("SmallCNN", "imagenet", 32), MissingWeights, "SmallCNN has no ImageNet weights"),
    (ModelSpec("SmallCNN", "none", 16), RecipeError, "found 16, expected 32 or more"),
    (
        ModelSpec("SmallCNN", "nowhere.h5", 32),
        MissingWeights,
        "nowhere.h5: no such file; expected imagenet, none, glyphs or",
    ),
    (ModelSpec("SmallCNN", "none", 32, "block9_pool"), RecipeError, "has no layer 'block9_pool'.*block5_pool"),
    (ModelSpec("MobileNetV2", "none", 32, options={"beta": 1}), RecipeError, "MobileNetV2 refuses.*beta"),
    (ModelSpec("InceptionV3", "none", 32), RecipeError, "InceptionV3 refuses image_size 32.*75"),
    (ModelSpec("nowhere.keras", image_size=32), MissingWeights, "nowhere.keras: no such file"),
    (ModelSpec("hub:/no/such/preset", image_size=32), MissingWeights, "KerasHub cannot give this preset.*hub:FOLDER"),
]


@pytest.mark.parametrize(("spec", "error", "told"), MISTAKES)
def test_mistakes(spec, error, told):
    with pytest.raises(error, match=f"(?s){told}"):
        pretrained(spec)


def test_weights_that_cannot_be_downloaded(monkeypatch):
    real = keras.applications.MobileNetV2

    def offline(weights, **arguments):
        if weights == "imagenet":
            raise OSError("URL fetch failure")
        return real(weights=weights, **arguments)

    monkeypatch.setattr(keras.applications, "MobileNetV2", offline)
    told = r"ImageNet weights of MobileNetV2 .*the download failed \(OSError: URL fetch failure\).*--set model.weights=FILE.*--sample"
    with pytest.raises(MissingWeights, match=told):
        pretrained(ModelSpec("MobileNetV2", "imagenet", 32))


def test_the_wrong_input_for_ones_own_model(files):
    with pytest.raises(RecipeError, match=r"takes \[\(32, 32, 3\)\]; expected one input of shape \(64, 64, 3\)"):
        pretrained(ModelSpec(str(files[0] / "whole.keras"), image_size=64))


def test_the_shipped_weights_fit_and_are_small():
    assert SHIPPED["glyphs"].stat().st_size <= 2_000_000
    spec = ModelSpec("MobileNetV2", "glyphs", 48, options={"alpha": 0.35})
    model = pretrained(spec).model
    moving = model.get_layer("bn_Conv1").get_weights()[2]
    assert np.abs(moving).max() > 0, "trained statistics, not the initial zeros"


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A small ResNet of KerasHub with random weights, as a preset folder."""
    keras_hub = pytest.importorskip("keras_hub")
    folder = tmp_path_factory.mktemp("hub") / "resnet_tiny"
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64, 64, 64],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone.save_to_preset(folder)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    keras_hub.layers.ResNetImageConverter(
        image_size=(64, 64), scale=(1 / (255 * std)).tolist(), offset=(-mean / std).tolist()
    ).save_to_preset(folder)
    return folder, backbone


def test_a_kerashub_preset_with_its_own_preprocessing(preset):
    folder, backbone = preset
    spec = ModelSpec(f"hub:{folder}", image_size=64)
    found = pretrained(spec)
    assert isinstance(found.preprocessing, Normalize)
    np.testing.assert_allclose(found.preprocessing.mean, (0.485, 0.456, 0.406), rtol=1e-5)
    np.testing.assert_allclose(found.preprocessing.std, (0.229, 0.224, 0.225), rtol=1e-5)
    model = build_model(spec, (64, 64, 3), 4)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    prepared = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = np.asarray(backbone(prepared.astype("float32"), training=False)).mean(axis=(1, 2))
    ours = keras.Model(model.input, model.get_layer("features").output)(pixels)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_a_kerashub_backbone_saves_as_h5(tmp_path):
    pytest.importorskip("keras_hub")
    spec = ModelSpec("hub:resnet_18_imagenet", "none", 32, preprocessing="none", head=HeadSpec((8,)))
    model = build_model(spec, (32, 32, 3), 4)
    model.save(tmp_path / "x.h5")
    again = keras.models.load_model(tmp_path / "x.h5")
    np.testing.assert_allclose(again.predict(PIXELS, verbose=0), model.predict(PIXELS, verbose=0), atol=1e-6)


def test_kerashub_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras_hub", None)
    with pytest.raises(MissingExtra, match=r'pip install "kerastl\[hub\]"'):
        pretrained(ModelSpec("hub:resnet_18_imagenet", image_size=32))
