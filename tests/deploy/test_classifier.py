"""A model answers alike whatever folder or file it is opened from, and says what is wrong where it cannot."""

import json
import shutil

import keras
import numpy as np
import pytest

from kerastl.deploy.classifier import open_model
from kerastl.errors import UserError
from kerastl.evaluate.calibration import with_temperature
from kerastl.evaluate_run import evaluate

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


def test_a_run_folder_and_its_exports_answer_alike(finished):
    temperature = finished.metrics["temperature"]["value"] or 1.0
    expected = with_temperature(finished.model.predict(PIXELS, verbose=0), temperature)
    for path in (finished.folder, finished.exports, *(finished.exports / name for name in ("model.h5", "saved_model"))):
        opened = open_model(path)
        np.testing.assert_allclose(opened.answer(PIXELS), expected, atol=1e-5)
        assert opened.size == (8, 8) and opened.class_names == tuple("0123456789")


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    image = keras.Input((8, 8, 3), name="image")
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax")(features))
    path = tmp_path_factory.mktemp("lone") / "any.keras"
    model.save(path)
    return path


def test_without_labels_classes_are_numbered(lone):
    assert open_model(lone).class_names == ("class 0", "class 1", "class 2")


def test_the_temperature_beside_the_model_is_applied(lone):
    plain = open_model(lone).answer(PIXELS)
    try:
        (lone.parent / "labels.json").write_text(json.dumps({"classes": ["a", "b", "c"], "temperature": 2.0}))
        softer = open_model(lone).answer(PIXELS)
    finally:
        (lone.parent / "labels.json").unlink()
    roots = np.sqrt(plain)
    np.testing.assert_allclose(softer, roots / roots.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("nowhere.keras", None, "no such file or folder"),
        (
            "notes.txt",
            b"hello",
            "not a model; expected a run folder, a SavedModel, or a file .keras, .h5, .onnx, .tflite",
        ),
        ("broken.onnx", b"not protobuf", "broken.onnx: cannot be loaded"),
        ("broken.tflite", b"not a flatbuffer", "broken.tflite: cannot be loaded"),
        ("empty/nothing.txt", b"", "not a model"),
    ],
)
def test_what_is_no_model_is_told(tmp_path, file, content, told):
    if content is not None:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=told):
        open_model(tmp_path / file)


def test_a_folder_without_a_model_says_which_files_are_looked_for(tmp_path):
    with pytest.raises(UserError, match=r"holds no model; expected one of model\.keras, saved_model"):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ('{"classes": ["a"]}', "the labels name 1 classes, and any.keras has 3"),
        ("[1", "cannot be read"),
        ('{"names": []}', "cannot be read"),
    ],
)
def test_labels_that_do_not_fit_are_told(lone, labels, told):
    (lone.parent / "labels.json").write_text(labels)
    try:
        with pytest.raises(UserError, match=told):
            open_model(lone)
    finally:
        (lone.parent / "labels.json").unlink()


def test_a_run_whose_model_ends_in_logits_is_not_judged(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "run")
    model = finished.model
    keras.Model(model.input, model.get_layer("logits").output).save(tmp_path / "run" / "model.keras")
    with pytest.raises(UserError, match=r"model\.keras: ends in linear; expected softmax, as kerastl trains it"):
        evaluate(tmp_path / "run")
    assert evaluate(finished.folder).accuracy == pytest.approx(finished.metrics["test"]["accuracy"])
