"""Labels inside a file: as they were put in, or none."""

import json

import numpy as np
import pytest
from exported import LABELS, PIXELS

from kerastl.deploy import labels as room
from kerastl.deploy.formats import FORMATS
from kerastl.deploy.labels import into_litert, into_onnx, into_saved_model, labels_inside
from kerastl.deploy.runtimes import open_model
from kerastl.errors import UserError

WITH = [name for name, row in FORMATS.items() if row.file not in ("model.keras", "model.h5")]


def put_into_onnx(path, labels):
    import onnx

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "same", [x], [y])
    proto = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    into_onnx(proto, labels)
    path.write_bytes(proto.SerializeToString())


def put_into_litert(path, labels):
    path.write_bytes(b"TFL3 and a model")
    into_litert(path, labels)


def put_into_saved_model(path, labels):
    path.mkdir()
    into_saved_model(path, labels)


INTO = {"m.onnx": put_into_onnx, "m.tflite": put_into_litert, "m": put_into_saved_model}


@pytest.mark.parametrize("file", INTO)
@pytest.mark.parametrize("labels", [LABELS, {"classes": ["Ökotyp", '"quoted", and\nbroken']}])
def test_labels_are_read_as_they_were_put_in(tmp_path, file, labels):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        INTO[file](tmp_path / name / file, labels)
        assert labels_inside(tmp_path / name / file) == labels
    if file != "m":
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), "the same on every run"


@pytest.mark.parametrize("file", ["m", "m.tflite", "m.keras", "m.h5"])
def test_a_file_without_labels_has_none(tmp_path, file):
    (tmp_path / file).write_bytes(b"a model of somebody else's") if "." in file else (tmp_path / file).mkdir()
    assert labels_inside(tmp_path / file) is None


def test_an_onnx_file_without_labels_has_none(tmp_path):
    put_into_onnx(tmp_path / "m.onnx", {})
    assert labels_inside(tmp_path / "m.onnx") is None


@pytest.fixture
def alone(everything, tmp_path):
    """A function that gives the file of a format with nothing beside it."""

    def link(name):
        file = FORMATS[name].file
        (tmp_path / file).symlink_to(everything[0] / file)
        return tmp_path / file

    return link


@pytest.mark.parametrize("name", WITH)
def test_a_file_that_stands_alone_knows_its_classes(everything, alone, name):
    opened = open_model(alone(name))
    assert opened.class_names == tuple(LABELS["classes"]) and opened.superclasses == tuple(LABELS["superclasses"])
    assert opened.temperature == 1.0, "it is inside already"
    np.testing.assert_allclose(opened.answer(PIXELS), open_model(everything[0]).answer(PIXELS), atol=0.1)


def test_labels_beside_a_file_win(alone):
    path = alone("onnx")
    (path.parent / "labels.json").write_text(json.dumps({"classes": ["x", "y", "z"]}))
    assert open_model(path).class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"classes": ["one"]}', r"model\.onnx: names 1 classes, and model\.onnx has 3"),
        ('{"classes"', r"model\.onnx: its labels cannot be read \(JSONDecodeError"),
    ],
)
def test_labels_inside_that_do_not_fit_are_told(alone, monkeypatch, text, told):
    monkeypatch.setitem(room.READERS, ".onnx", lambda path: json.loads(text))
    with pytest.raises(UserError, match=told):
        open_model(alone("onnx"))
