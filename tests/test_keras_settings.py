"""Keras as kerastl needs it, whatever keras.json and the environment say; what Keras could not start with is a sentence."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import pytest

from kerastl.errors import KerastlWarning, UserError
from kerastl.keras_settings import NEEDED, correct_keras, keras_home, prepare_keras


def settings(text):
    """A keras.json with this text, in KERAS_HOME."""
    (Path(os.environ["KERAS_HOME"]) / "keras.json").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def not_yet_imported(monkeypatch):
    """As before the first import of Keras."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "")


# What keras.json holds, and what the error says of it.
REFUSED = {
    "another type of float": ('{"floatx": "bfloat16"}', "floatx: found 'bfloat16'; expected float32"),
    "no type of float": ('{"floatx": null}', "floatx: found None"),
    "another layout": ('{"image_data_format": "middle"}', "image_data_format: found 'middle'"),
    "an unknown backend": ('{"backend": "theano"}', "backend: found 'theano'; expected tensorflow"),
    "a whole number": ('{"epsilon": 1}', "epsilon: found 1"),
    "a list": ("[1, 2]", "found list"),
    "null": ("null", "found NoneType"),
    "a list within": ('{"floatx": ["float32"]}', "floatx: found"),
    "deep": ("[" * 60_000, "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_keras_could_not_start_with_is_a_sentence(case, not_yet_imported):
    text, told = REFUSED[case]
    settings(text)
    with pytest.raises(UserError, match=r"keras\.json.*correct the file or delete it") as error:
        prepare_keras()
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "no JSON", b"\xff\xfe", '{"floatx": "float32"}'])
def test_what_keras_passes_over_is_passed_over(text, not_yet_imported):
    settings(text)
    prepare_keras()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(("file", "variable"), [("jax", ""), ("tensorflow", "torch"), ("tensorflow", "nonsense")])
def test_another_backend_is_set_aside_and_said(file, variable, not_yet_imported, monkeypatch):
    settings(json.dumps({"backend": file}))
    monkeypatch.setenv("KERAS_BACKEND", variable)
    with pytest.warns(KerastlWarning, match="kerastl uses tensorflow in this process"):
        prepare_keras()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize(
    ("name", "value"),
    [("floatx", "float16"), ("floatx", "float64"), ("image_data_format", "channels_first"), ("epsilon", 0.1)],
)
def test_other_settings_are_corrected_and_said(name, value):
    getattr(keras.config, f"set_{name}")(value)
    with pytest.warns(KerastlWarning, match=f"Keras' {name} is set to {value}.*kerastl uses {NEEDED[name]}"):
        correct_keras()
    assert getattr(keras.config, name)() == NEEDED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        correct_keras()


def test_a_backend_in_use_cannot_be_changed(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match="import kerastl before keras, or set KERAS_BACKEND=tensorflow"):
        correct_keras()


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_keras_home_is_none(empty, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", empty)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keras_home() == tmp_path / ".keras"
    prepare_keras()
    assert "KERAS_HOME" not in os.environ


STRANGE = {
    "letters that are none": (b"backend: \xff\xfe", {}, ""),
    "a backend that is none": (b"backend: nonsense", {}, ""),
    "a program of somebody's": (b"text.usetex: True", {}, ""),
    "MPLBACKEND": (b"", {"MPLBACKEND": "nonsense"}, "matplotlib cannot be started"),
    "MATPLOTLIBRC": (b"", {"MATPLOTLIBRC": "{folder}/bad"}, "matplotlib cannot be started"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_matplotlib_takes_no_settings_of_the_folder(name, tmp_path):
    """Keras imports matplotlib.pyplot: it is imported before, from its own folder."""
    there, environment, told = STRANGE[name]
    (tmp_path / "matplotlibrc").write_bytes(there)
    (tmp_path / "bad").write_bytes(b"backend: \xff")
    environment = {key: value.format(folder=tmp_path) for key, value in environment.items()}
    lines = (
        "from kerastl.keras_settings import prepare_keras; prepare_keras(); "
        "import matplotlib.pyplot as p; print(p.rcParams['text.usetex'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", lines],
        cwd=tmp_path,
        env={**os.environ, **environment, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert told in done.stderr if told else done.stdout == "False\n", done.stderr
