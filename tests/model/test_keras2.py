"""Files of Keras 2 open where its settings say nothing else than Keras 3 does; otherwise it is said what to do."""

import json
import zipfile

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


def test_of_keras_3_nothing_is_left_out(saved):
    path, _ = saved(version="3.15.0")
    with pytest.raises(UserError) as told:
        load_untrusted(path)
    assert REMEDY not in str(told.value)


def old(layer, on, **how):
    """A layer of a functional model as Keras 2 wrote it, called on others by their names."""
    name = layer["config"]["name"]
    calls = [[before, 1 if before == "net" else 0, 0, how] for before in on]
    return {**layer, "name": name, "inbound_nodes": [calls]}


def function(name, on, kind="TFOpLambda", **how):
    """A function of TensorFlow on a layer; `y` is a number, or the name of another layer."""
    how = {key: [value, 0, 0] if key == "y" and isinstance(value, str) else value for key, value in how.items()}
    config = {"name": f"tf.{name}", "function": name, "dtype": "float32"}
    return {
        "class_name": kind,
        "config": config,
        "name": f"tf.{name}",
        "inbound_nodes": [[on, 0, 0, {**how, "name": None}]],
    }


def graph(name, *layers):
    image = {
        "name": "image",
        "batch_input_shape": [None, 4, 4, 3],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
    }
    layers = [{"class_name": "InputLayer", "config": image, "name": "image", "inbound_nodes": []}, *layers]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": name, "layers": layers, **ends}}


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "dtype": "float32", **config}}


BACKWARDS = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]
X = np.random.default_rng(0).uniform(-1, 8, (2, 4, 4, 3)).astype("float32")
# The layers after "image" as Keras 2 wrote them, and what they answer.
GRAPHS = {
    "divided": ([function("math.truediv", "image", y=2.0)], X / 2),
    "moved": ([function("math.subtract", "image", y=1.5)], X - 1.5),
    "added to": ([function("__operators__.add", "image", y=3)], X + 3),
    "added together": ([function("__operators__.add", "image", y="image")], 2 * X),
    "multiplied": ([function("math.multiply", "image", y="image")], X * X),
    "relu6": ([function("nn.relu6", "image")], np.clip(X, 0, 6)),
    "mean": ([function("math.reduce_mean", "image", axis=[1, 2], keepdims=False)], X.mean((1, 2))),
    "caffe": (
        [
            function("__operators__.getitem", "image", "SlicingOpLambda", slice_spec=BACKWARDS),
            function("nn.bias_add", "tf.__operators__.getitem", bias=[-1.0, -2.0, -3.0], data_format="NHWC"),
        ],
        X[..., ::-1] - [1, 2, 3],
    ),
    "a name with a slash": (
        [old(layer("ReLU", "block/act", max_value=2.0), ["image"]), old(layer("Flatten", "block/out"), ["block/act"])],
        np.clip(X, 0, 2).reshape(2, -1),
    ),
    "a model in a model": (
        [
            {**old(graph("net", old(layer("ReLU", "inner"), ["image"])), ["image"]), "name": "net"},
            old(layer("GlobalAveragePooling2D", "pool"), ["net"], training=False),
        ],
        np.maximum(X, 0).mean((1, 2)),
    ),
    "thresholds": ([old(layer("ThresholdedReLU", "old", theta=1.0), ["image"])], np.where(X > 1, X, 0)),
    "leaky": ([old(layer("LeakyReLU", "old", alpha=0.5), ["image"])], np.where(X > 0, X, X / 2)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_as_keras_2_wrote_it(name, tmp_path):
    layers, expected = GRAPHS[name]
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(graph("model", *layers)), "2.15.0"
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
    np.testing.assert_allclose(load_untrusted(tmp_path / "old.h5", 4).predict(X, verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize(
    "odd",
    [
        function("math.multiply", "image", y=[1, 2]),
        function("math.truediv", "image", y=0),
        function("math.reduce_mean", "image", axis=[3], keepdims=False),
        function("io.read_file", "image"),
    ],
)
def test_other_functions_are_refused_with_what_to_do(odd, tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(graph("model", odd)), "2.15.0"
    with pytest.raises(UserError, match="found TFOpLambda, which is no layer") as told:
        load_untrusted(tmp_path / "old.h5")
    assert REMEDY in str(told.value)


def test_a_policy_and_a_sequential_without_its_input():
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    first = {"class_name": "Conv2D", "config": {"name": "c", "batch_input_shape": [None, 8, 8, 3], "dtype": policy}}
    made = as_keras3(
        {"class_name": "Sequential", "config": [first, {"class_name": "BatchNormalizationV1", "config": {"axis": [3]}}]}
    )
    image, convolution, norm = made["config"]["layers"]
    assert image["class_name"] == "InputLayer" and image["config"]["batch_input_shape"] == [None, 8, 8, 3]
    assert convolution["config"] == {"name": "c", "dtype": "mixed_float16"}
    assert norm == {"class_name": "BatchNormalization", "config": {"axis": 3}}


def test_a_keras_file_of_keras_2(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.DepthwiseConv2D(3), L.BatchNormalization(), L.Flatten()])
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as file:
        config = json.loads(new.read("config.json"))
        config |= {"module": "keras.src.engine.sequential"}
        config["config"]["layers"][1]["config"]["groups"] = 1
        config["config"]["layers"][2]["config"]["axis"] = [3]
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        file.writestr("model.weights.h5", new.read("model.weights.h5"))
    pixels = np.random.default_rng(0).random((2, 8, 8, 3))
    found = load_untrusted(tmp_path / "old.keras").predict(pixels, verbose=0)
    np.testing.assert_allclose(found, model.predict(pixels, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": "Sequential", "config": {"layers": [{"config": {"batch_input_shape": 1}}]}},
        {
            "layers": [{"class_name": "Functional", "name": [], "inbound_nodes": [["a", 0, 0]]}],
            "output_layers": [["a", 1, 0]],
        },
        {"class_name": "TFOpLambda", "config": {"function": ["nn.relu"]}, "inbound_nodes": [["a", 0, 0, {}]]},
        {"class_name": "Functional", "config": {"name": 1, "layers": [[[]]]}, "name": None},
        json.loads("[" * 900 + "]" * 900),
    ],
)
def test_nonsense_is_one_sentence(config, tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = (
            json.dumps({"class_name": "Model", "config": config}),
            "2.15.0",
        )
    with pytest.raises(UserError):
        load_untrusted(tmp_path / "old.h5")


def test_what_is_no_layer_stays_as_it_is():
    for config in (
        None,
        1,
        "DepthwiseConv2D",
        [{"class_name": ["DepthwiseConv2D"], "config": {"groups": 1}}],
        {"class_name": "DepthwiseConv2D", "config": [1]},
    ):
        assert as_keras3(config) == config
