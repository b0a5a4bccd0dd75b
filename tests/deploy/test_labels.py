"""Labels inside a file: as they were put in, or none."""

import struct
import zipfile

import pytest
from exported import LABELS

from kerastl.deploy.labels import into_litert, into_onnx, into_saved_model, labels_inside
from kerastl.errors import UntrustedFile


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


def archived(content, method=zipfile.ZIP_STORED, times=1):
    """A LiteRT file with these labels behind it."""

    def put(path):
        path.write_bytes(b"TFL3 and a model")
        with zipfile.ZipFile(path, "a") as archive:
            for _ in range(times):
                archive.writestr("labels.json", content, method)

    return put


def lying(path):
    archived(b" " * 50_000_000, zipfile.ZIP_DEFLATED)(path)
    content = path.read_bytes().replace(struct.pack("<I", 50_000_000), struct.pack("<I", 9))
    path.write_bytes(content)


MANY = b'{"classes": [' + b"[]," * 600_000 + b"[]]}"
BOMBS = {
    "larger than labels are": (
        archived(b" " * 20_000_000),
        r"unpacks to 20,000,000 bytes; expected at most 16,777,216",
    ),
    "deflated, and larger than it says": (lying, "has more bytes than declared"),
    "bzip2": (archived(b"{}", zipfile.ZIP_BZIP2), "is compressed by bzip2"),
    "LZMA": (archived(b"{}", zipfile.ZIP_LZMA), "is compressed by lzma"),
    "600,000 lists": (archived(MANY), r"1,200,\d+ tables, lists and values; expected at most 500,000"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_labels_that_would_fill_the_memory_are_refused(tmp_path, name):
    build, told = BOMBS[name]
    build(tmp_path / "m.tflite")
    with pytest.raises((UntrustedFile, ValueError), match=told):
        labels_inside(tmp_path / "m.tflite")


def test_labels_of_an_onnx_file_that_would_fill_the_memory_are_refused(tmp_path):
    put_into_onnx(tmp_path / "m.onnx", {"classes": [[]] * 600_000})
    with pytest.raises(ValueError, match="tables, lists and values; expected at most 500,000"):
        labels_inside(tmp_path / "m.onnx")
