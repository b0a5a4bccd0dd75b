"""The names of the classes inside an exported file, where its format has a place for them.

    SavedModel   assets.extra/labels.json, the folder that TensorFlow leaves to whoever wrote the model
    ONNX         metadata_props: classes, superclasses and temperature, each as JSON
    LiteRT       labels.json, and labels.txt with a class a line, in a zip archive behind the model: the associated files of TFLite
                 metadata, which any zip tool unpacks and every interpreter passes over

Keras' own files have none. labels.json stands beside all of them, and is what counts where both are there.
"""

import contextlib
import json
import re
import zipfile
from pathlib import Path

from kerastl.model.archive import read_member

LABELS = "labels.json"
EXTRA = Path("assets.extra")
MOST = 2**24  # bytes of labels; a file may come from a stranger
MOST_PARTS = 500_000  # and of what they consist of
ENDS_OF_LINES = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # those of str.splitlines
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same file on every run


def into_saved_model(path, labels):
    """Put labels into a SavedModel.

    Args:
        path: its folder.
        labels: what labels.json holds.
    """
    (path / EXTRA).mkdir()
    (path / EXTRA / LABELS).write_text(_text(labels), encoding="utf-8")


def into_onnx(proto, labels):
    """Put labels into an ONNX `ModelProto`, before it is written."""
    import onnx

    onnx.helper.set_model_props(proto, {key: json.dumps(value) for key, value in labels.items()})


def into_litert(path, labels):
    """Put labels behind the model in a `.tflite` file."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in ((LABELS, _text(labels)), ("labels.txt", "\n".join(one_line_each(labels["classes"])) + "\n")):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text)


def one_line_each(names):
    """Names of classes as lines of a text, as many as there are, whatever its reader takes for the end of a line.

    Where a name holds the end of a line, it is written as in Python, and so is every backslash: two names never become one.

    Example:
        >>> one_line_each(["cat", "dog\\nhouse"])
        ['cat', 'dog\\\\nhouse']
    """
    if not any(map(ENDS_OF_LINES.search, names)):
        return list(names)
    return [
        ENDS_OF_LINES.sub(lambda end: end[0].encode("unicode_escape").decode(), name.replace("\\", "\\\\"))
        for name in names
    ]


def read_labels_file(path):
    """What a labels.json says, with or without a byte-order mark.

    Raises:
        OSError, ValueError: there is none, or it is damaged, or far more than names.
    """
    with path.open("rb") as file:
        return _parsed(file.read(MOST + 1))


def labels_inside(path):
    """What `into_...` put into a file.

    Args:
        path: of a model of any kind.

    Returns:
        What labels.json would hold, or None where the file has no labels.

    Raises:
        ValueError: they are damaged, or far more than names.
        UntrustedFile: the archive in a LiteRT file is laid out as nobody would write it.
    """
    reads = _of_saved_model if path.is_dir() else READERS.get(path.suffix.lower())
    with contextlib.suppress(FileNotFoundError, KeyError, zipfile.BadZipFile):
        return reads and reads(path)


def _of_saved_model(path):
    return read_labels_file(path / EXTRA / LABELS)


def _of_onnx(path):
    import onnxruntime

    quick = onnxruntime.SessionOptions()
    quick.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, quick, providers=["CPUExecutionProvider"])
    stored = session.get_modelmeta().custom_metadata_map
    return {
        key: _parsed(stored[key].encode()) for key in ("classes", "superclasses", "temperature") if key in stored
    } or None


def _of_litert(path):
    text = read_member(path, LABELS, MOST)
    return None if text is None else _parsed(text)


def _parsed(text):
    """JSON of a stranger's: small, and of few parts, as a list takes thirty times its two brackets."""
    if len(text) > MOST:
        raise ValueError(f"more than {MOST:,} bytes")
    if (parts := sum(map(text.count, (b"[", b"{", b",")))) > MOST_PARTS:
        raise ValueError(f"{parts:,} tables, lists and values; expected at most {MOST_PARTS:,}")
    return json.loads(text)


READERS = {".onnx": _of_onnx, ".tflite": _of_litert}


def _text(labels):
    return json.dumps(labels, indent=2) + "\n"
