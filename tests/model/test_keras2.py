"""Files of Keras 2 open where its settings say nothing else than Keras 3 does; otherwise it is said what to do."""

import json

import h5py
import keras
import numpy as np
import pytest

from kerastl.errors import UserError
from kerastl.model.keras2 import NO_MORE, REMEDY, as_keras3
from kerastl.model.untrusted import load_untrusted

L = keras.layers


@pytest.fixture
def saved(tmp_path):
    """A function that gives a file as Keras 2 wrote it, with some settings more, and the model in it."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.DepthwiseConv2D(3),
            L.BatchNormalization(),
            L.SeparableConv2D(4, 1),
            L.Conv2DTranspose(2, 1),
            L.GlobalAveragePooling2D(),
        ]
    )

    def write(version="2.15.0", **changes):
        path = tmp_path / "old.h5"
        model.save(path)
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            for layer in config["config"]["layers"]:
                more = {
                    key: None if value is not None and not isinstance(value, int) else value
                    for key, value in NO_MORE.get(layer["class_name"], {}).items()
                }
                layer["config"] |= more | changes.get(layer["class_name"], {})
            file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), version
        return path, model

    return write


def test_settings_that_are_no_more_are_left_out(saved):
    path, model = saved()
    pixels = np.random.default_rng(0).random((2, 8, 8, 3))
    before = path.read_bytes()
    np.testing.assert_allclose(
        load_untrusted(path).predict(pixels, verbose=0), model.predict(pixels, verbose=0), atol=1e-6
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("changes", [{"DepthwiseConv2D": {"groups": 3}}, {"BatchNormalization": {"renorm": True}}])
def test_other_values_are_refused_with_what_to_do(saved, changes):
    path, _ = saved(**changes)
    with pytest.raises(UserError, match=r"model.export\(FOLDER\)") as told:
        load_untrusted(path)
    assert REMEDY in str(told.value)


# What TensorFlow's own tutorials leave in the graph: tf.keras.applications.mobilenet_v2.preprocess_input, and arithmetic.
OPERATIONS = (
    ("math.truediv", 127.5),
    ("math.subtract", 1.0),
    ("math.multiply", 3),
    ("__operators__.add", 0.5),
)


def written_with(operations, tmp_path):
    """A file of Keras 2 with operations before its layer, each a layer of the kind TFOpLambda."""
    image = x = keras.Input((8, 8, 3), name="image")
    for place in range(len(operations)):
        x = L.Rescaling(1.0, name=f"operation_{place}")(x)
    model = keras.Model(image, L.Dense(2, name="dense")(L.GlobalAveragePooling2D(name="pool")(x)))
    path = tmp_path / "operations.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Rescaling":
                function, number = operations[int(layer["name"][-1])]
                source = layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
                layer["class_name"] = "TFOpLambda"
                layer["config"] = {"name": layer["name"], "trainable": True, "dtype": "float32", "function": function}
                layer["inbound_nodes"] = [[source, 0, 0, {"y": number, "name": None}]]
            elif layer["inbound_nodes"]:
                source = layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
                layer["inbound_nodes"] = [[[source, 0, 0, {}]]]
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
    return path, model


def test_arithmetic_with_pixels_becomes_a_layer(tmp_path):
    path, model = written_with(OPERATIONS, tmp_path)
    pixels = np.random.default_rng(0).random((2, 8, 8, 3)).astype("float32") * 255
    expected = model.predict(((pixels / 127.5 - 1) * 3) + 0.5, verbose=0)
    np.testing.assert_allclose(load_untrusted(path).predict(pixels, verbose=0), expected, atol=1e-4)


@pytest.mark.parametrize(
    "operation", [("math.truediv", 0), ("math.truediv", "tf"), ("nn.relu", 1.0), ("math.add", [1, 2])]
)
def test_other_operations_are_refused_with_what_to_do(operation, tmp_path):
    path, _ = written_with([operation], tmp_path)
    with pytest.raises(UserError, match=r"found TFOpLambda.*model.export\(FOLDER\)"):
        load_untrusted(path)


def test_of_keras_3_nothing_is_left_out(saved):
    path, _ = saved(version="3.15.0")
    with pytest.raises(UserError) as told:
        load_untrusted(path)
    assert REMEDY not in str(told.value)


def test_what_is_no_layer_stays_as_it_is():
    for config in (
        None,
        1,
        "DepthwiseConv2D",
        [{"class_name": ["DepthwiseConv2D"], "config": {"groups": 1}}],
        {"class_name": "DepthwiseConv2D", "config": [1]},
    ):
        assert as_keras3(config) == config
