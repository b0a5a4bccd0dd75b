"""Files from strangers: hostile ones are refused with their reason, honest ones load as they did."""

import errno
import json
import re
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from bombs import BOMBS
from hostile import HOSTILE, keras_file, layer, legacy, model, open_as_kerastl_does, weights_file
from keras.src.applications.convnext import LayerScale

from kerastl.errors import KerastlError, UntrustedFile, UserError
from kerastl.model import untrusted
from kerastl.model.untrusted import checked_weights, load_untrusted
from kerastl.schema import ModelSpec

MOST_MEMORY = 300 * 2**20  # bytes that saying no may take; the largest file takes 17 MB
MOST_SECONDS = 4  # of the processor
ROWS = HOSTILE | BOMBS


@pytest.mark.parametrize("name", ROWS)
def test_a_hostile_file_is_refused(name, tmp_path):
    build, told = ROWS[name]
    path = build(tmp_path)
    before, began = memory("VmRSS", forget=True), time.process_time()
    with pytest.raises(UserError, match=f"(?s){told}") as caught:
        open_as_kerastl_does(path)
    assert time.process_time() - began < MOST_SECONDS
    assert memory("VmHWM") - before < MOST_MEMORY
    text = str(caught.value)
    assert "x." in text and len(text) < 1500 and "\x1b" not in text and "kerastl-" not in text


def memory(what, forget=False):
    """Bytes of this process, as Linux counts them; `forget` lets the peak (VmHWM) begin anew."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5")
        found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024
    except OSError:
        return 0


def test_the_file_the_hostile_ones_are_made_of_is_honest(tmp_path):
    answer = open_as_kerastl_does(keras_file()(tmp_path))(np.ones((1, 4), "float32"))
    np.testing.assert_array_equal(answer, [[5, 5]])
    assert open_as_kerastl_does(weights_file(lambda file: None)(tmp_path)) is None


@pytest.fixture
def no_room(monkeypatch):
    """A disk that takes no copy."""

    def refuse(*_):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(untrusted, "unpack", refuse)


def test_where_the_disk_takes_no_copy_it_is_read_in_memory(no_room, tmp_path):
    answer = open_as_kerastl_does(keras_file()(tmp_path))(np.ones((1, 4), "float32"))
    np.testing.assert_array_equal(answer, [[5, 5]])


def test_a_file_of_keras_2_is_told_in_memory_too(no_room, tmp_path):
    code = model(layer("Lambda", {"function": "code"}))
    path = keras_file(code, facts=json.dumps({"keras_version": "2.15.0"}))(tmp_path)
    with pytest.raises(UntrustedFile, match=r"found Lambda.*it was saved by Keras 2"):
        load_untrusted(path)


def test_what_is_refused_is_refused_in_memory_too(no_room, tmp_path):
    code = model(layer("Lambda", {"function": "code"}))
    with pytest.raises(UntrustedFile, match=r"found Lambda"):
        load_untrusted(keras_file(code)(tmp_path))
    with (
        pytest.raises(KerastlError, match="no room for a copy of it; set TMPDIR"),
        checked_weights(keras_file()(tmp_path)),
    ):
        pass


def test_an_object_registered_here_is_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setitem(keras.saving.get_custom_objects(), "mine>f", print)
    with pytest.raises(UntrustedFile, match="found 'mine>f', an object registered in this process"):
        load_untrusted(keras_file(model(layer("Activation", {"activation": "mine>f"})))(tmp_path))


L = keras.layers
STACKS = {  # layers that are built, seeded and nested in different ways
    "convolutions": lambda x: L.Conv2D(2, 3, kernel_regularizer="l2", bias_constraint="max_norm")(
        L.DepthwiseConv2D(3, activation="leaky_relu")(L.SeparableConv2D(2, 3)(x))
    ),
    "normalizations": lambda x: L.LayerNormalization()(L.GroupNormalization(1)(L.BatchNormalization()(x))),
    "scaling": lambda x: L.Normalization(mean=[1, 2, 3], variance=[1, 1, 1])(L.Rescaling(2.0)(L.Resizing(6, 6)(x))),
    "adapted": lambda x: L.Normalization()(x),
    "random": lambda x: L.Dropout(0.5)(L.RandomFlip()(L.RandomRotation(0.1, seed=3)(x))),
    "branches": lambda x: L.Concatenate()([L.PReLU()(x), L.Add()([x, x])]),
    "attention": lambda x: L.MultiHeadAttention(2, 4)(L.Reshape((64, 3))(x), L.Reshape((64, 3))(x)),
    "wrapped": lambda x: L.Bidirectional(L.LSTM(3))(L.TimeDistributed(L.Flatten())(x)),
    "nested": lambda x: keras.Sequential([L.Input((8, 8, 3)), L.Conv2D(2, 3)], name="inner")(x),
    "initializers": lambda x: L.Dense(2, kernel_initializer=keras.initializers.Orthogonal(seed=1))(x),
    "policies": lambda x: L.Conv2D(2, 3, dtype="mixed_bfloat16")(x),
    "operations": lambda x: keras.ops.relu(x / 255 - 0.5),
    "of an application": lambda x: LayerScale(0.1, 3)(x),
}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("stack", STACKS)
def test_an_honest_file_loads(stack, suffix, tmp_path):
    if suffix == "h5" and stack in ("operations", "of an application"):
        pytest.skip("Keras itself cannot load this .h5")
    inputs = keras.Input((8, 8, 3), name="image")
    whole = keras.Model(inputs, L.Dense(2)(L.Flatten()(STACKS[stack](inputs))))
    whole.compile("adam", loss=keras.losses.mean_squared_error)  # a function in the part that is not read
    whole.save(tmp_path / f"x.{suffix}")
    images = np.random.default_rng(0).random((2, 8, 8, 3)).astype("float32")
    again = load_untrusted(tmp_path / f"x.{suffix}")
    np.testing.assert_allclose(again(images, training=False), whole(images, training=False), rtol=1e-5, atol=1e-6)
    whole.save_weights(tmp_path / "x.weights.h5")
    for name in ("x.weights.h5", f"x.{suffix}"):
        with checked_weights(tmp_path / name) as copy:
            whole.load_weights(copy)


@pytest.mark.parametrize(
    "name",
    ["MobileNetV3Small", *(pytest.param(it, marks=pytest.mark.slow) for it in ("ConvNeXtTiny", "EfficientNetB0"))],
)
def test_networks_of_keras_applications_load(name, tmp_path):
    whole = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg")
    whole.save(tmp_path / "x.keras")
    assert load_untrusted(tmp_path / "x.keras").count_params() == whole.count_params()


def test_counting_the_variables_leaves_no_trace(tmp_path):
    path = keras_file()(tmp_path)
    keras.utils.clear_session()
    before = L.Dense(1).name
    load_untrusted(path)
    with keras.StatelessScope(initialize_variables=True):
        pass  # would fill what the count left behind
    assert (before, L.Dense(1).name) == ("dense", "dense_1")


def test_a_compressed_archive_loads(tmp_path):
    path = keras_file()(tmp_path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.keras", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert load_untrusted(tmp_path / "y.keras").count_params() == 10


def test_backbones_and_weights_of_a_recipe_are_looked_through(tmp_path):
    from kerastl.model.pretrained import pretrained

    bad = HOSTILE["Lambda bytecode"][0](tmp_path)
    with pytest.raises(UntrustedFile, match="Lambda"):
        pretrained(ModelSpec(str(bad), image_size=32))
    bad = HOSTILE["an external link"][0](tmp_path)
    with pytest.raises(UntrustedFile, match="ExternalLink"):
        pretrained(ModelSpec("SmallCNN", str(bad), 32))


def test_a_run_from_a_stranger_is_looked_through(finished, tmp_path):
    from kerastl.evaluate_run import evaluate

    HOSTILE["Lambda bytecode"][0](tmp_path).rename(tmp_path / "model.keras")
    (tmp_path / "recipe.toml").write_text((finished.folder / "recipe.toml").read_text())
    with pytest.raises(UntrustedFile, match="Lambda"):
        evaluate(tmp_path)


def test_the_h5_of_an_older_keras_loads(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(legacy(model()))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"image", b"dense"]
        group.create_group("image").attrs["weight_names"] = []
        group.create_group("dense").attrs["weight_names"] = [b"kernel", b"bias"]
        group["dense/kernel"], group["dense/bias"] = np.ones((4, 2), "float32"), np.ones(2, "float32")
    assert load_untrusted(path).get_layer("dense").get_weights()[0].sum() == 8
