"""Export formats, one row each: what is written, by what it is read again, and how near its answers have to be.

What is demanded was measured on CIFAR-10 with ResNet-50, MobileNetV2 and EfficientNetB0. TensorFlow reads its own formats back to the
bit. ONNX Runtime and LiteRT sum in another order: a ResNet-50 is off by 1e-5, and ten times that is allowed. With float16 weights
it is off by 0.002, MobileNetV2 by 0.012. Integers change a probability by 0.4 where the model is torn, and another class in ten
images; those of a network that does not bear them answered another class in six images of seven.
"""

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras

from kerastl.deploy.labels import into_onnx
from kerastl.deploy.litert import write_litert
from kerastl.deploy.runtimes import open_litert, open_onnx, open_saved_model
from kerastl.errors import MissingExtra, UserError
from kerastl.strict import suggest

OPSET = 17
TORN = 0.05  # two probabilities so near are no choice


@dataclass(frozen=True)
class Format:
    """One row.

    Args:
        file: name in the export folder.
        write: from a `Source` and a path to a file or folder.
        load: from the path to a function of a float32 image batch, by the format's own runtime, without the model in memory.
        difference: how far a probability may be off at most.
        agreement: least share of images with the same top class. An image on which the model itself gives the two classes
            probabilities within `TORN` counts as one of them.
        extra: of kerastl, that brings `needs`; None where nothing is missing ever.
        needs: modules that write and read it.
        on_test: whether it is judged on the test split too, because it trades accuracy for size.
    """

    file: str
    write: Callable
    load: Callable
    difference: float
    agreement: float = 0.0
    extra: str | None = None
    needs: tuple[str, ...] = ()
    on_test: bool = False


def _write_keras(source, path):
    source.model.save(path)


def _write_saved_model(source, path):
    shutil.copytree(source.saved_model, path)


def _write_onnx(source, path):
    import onnx
    import tf2onnx

    proto, _ = tf2onnx.convert.from_function(source.serve, source.serve.input_signature, opset=OPSET)
    # tf2onnx takes constants that a layer holds (Normalization's mean) for inputs of the model; so does Keras' own export.
    concrete, used = source.serve.get_concrete_function(), {name for node in proto.graph.node for name in node.input}
    _, *inputs = concrete.inputs
    held = {inside.name: value for inside, value in zip(inputs, concrete.captured_inputs, strict=True)}
    for value in [it for it in proto.graph.input if it.name in held]:
        proto.graph.input.remove(value)
        if value.name in used:
            proto.graph.initializer.append(onnx.numpy_helper.from_array(held[value.name].numpy(), value.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    into_onnx(proto, source.labels)
    path.write_bytes(proto.SerializeToString())


def _plain_keras(path):
    """Keras alone, in its default safe mode: what whoever is given the file has."""
    return keras.models.load_model(path, compile=False).predict_on_batch


def _by(open_one):
    def load(path):
        opened = open_one(path)
        return lambda images: opened.run(images)[0]

    return load


LITERT = {"load": _by(open_litert), "extra": "litert", "needs": ("ai_edge_litert",)}
FORMATS = {
    "keras": Format("model.keras", _write_keras, _plain_keras, 1e-5),
    "h5": Format("model.h5", _write_keras, _plain_keras, 1e-5),
    "saved_model": Format("saved_model", _write_saved_model, _by(open_saved_model), 1e-5),
    "onnx": Format(
        "model.onnx", _write_onnx, _by(open_onnx), 1e-4, extra="onnx", needs=("onnx", "tf2onnx", "onnxruntime")
    ),
    "litert": Format("model.tflite", write_litert, difference=1e-4, **LITERT),
    "litert-float16": Format(
        "model-float16.tflite",
        partial(write_litert, numbers="float16"),
        difference=0.05,
        agreement=0.95,
        on_test=True,
        **LITERT,
    ),
    "litert-int8": Format(
        "model-int8.tflite",
        partial(write_litert, numbers="int8"),
        difference=0.8,
        agreement=0.8,
        on_test=True,
        **LITERT,
    ),
}


def check_formats(names):
    """Refuse formats that cannot be written here, before a training begins.

    Args:
        names: of formats.

    Raises:
        UserError: no such format.
        MissingExtra: what writes or reads it is not installed.

    Example:
        >>> check_formats(["keras", "saved_model"])
    """
    for name in names:
        if name not in FORMATS:
            raise UserError(f"formats: found {name!r}; {suggest(name, FORMATS)}")
        row = FORMATS[name]
        missing = [module for module in row.needs if importlib.util.find_spec(module) is None]
        if missing:
            raise MissingExtra(
                f"the export format {name} needs {' and '.join(missing)}, not installed here; expected it, by: "
                f'pip install "kerastl[{row.extra}]"'
            )
