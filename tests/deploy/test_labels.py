"""Labels inside a file: as they were put in, or none."""

import pytest
from exported import LABELS

from kerastl.deploy.labels import into_litert, into_onnx, into_saved_model, labels_inside


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
