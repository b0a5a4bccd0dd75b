"""A model as it answers, whatever kind of file it came from: pixels in, probabilities out, with the names of the classes."""

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kerastl.deploy.labels import LABELS, labels_inside
from kerastl.errors import MissingExtra, MissingWeights, UserError, brief
from kerastl.evaluate.calibration import with_temperature
from kerastl.files import refuse_links
from kerastl.model.untrusted import load_untrusted

MOST_SIDE = 4_096  # pixels: a batch of 64 such images has 3 GB
MOST_CLASSES = 1_000_000  # each gets a name


@dataclass(frozen=True)
class Classifier:
    """A model that is ready to answer.

    Args:
        path: of the file or folder it was read from; of a `keras.Model` that was given, its name.
        kind: a name in `RUNTIMES`.
        raw: from an image batch, uint8 or float 0 to 255 of shape (n, height, width, 3), to what the file itself answers.
        size: height and width of the images it takes.
        class_names: in label order.
        superclasses: for each class, the coarser class it belongs to, or None.
        temperature: what its probabilities are divided by, as logits; 1.0 where none was fitted.
        model: the `keras.Model`, where the file holds one; None otherwise.
    """

    path: Path
    kind: str
    raw: Callable
    size: tuple[int, int]
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None = None
    temperature: float = 1.0
    model: keras.Model | None = None

    def answer(self, images, flip=False):
        """Probabilities, float32 of shape (n, classes), temperature applied.

        Args:
            images: batch as `raw` takes it.
            flip: answers by the mean over each image and its mirror image, as `evaluate.flip` has a run judged.
        """
        raw = self.raw(images)
        if flip:
            raw = (raw + self.raw(np.ascontiguousarray(images[:, :, ::-1]))) / 2
        return with_temperature(raw, self.temperature)


def open_model(path):
    """Make a model ready to answer.

    Args:
        path: a run folder, a folder of exports, a SavedModel, or a `.keras`, `.h5`, `.onnx` or `.tflite` file. The names of
            its classes are in labels.json beside it (in it, for a run folder), or in the file itself.

    Returns:
        A `Classifier`.

    Raises:
        UserError: no model there, or a model that takes no images; see `load_untrusted` for what else is refused.
        MissingExtra: the runtime of that kind of file is not installed.

    Example:
        >>> open_model("saved_models/mine/model.keras").class_names  # doctest: +SKIP
        ('cat', 'dog')
    """
    path = _model_in(Path(path))
    kind = _kind_of(path)
    if kind is None:
        raise UserError(f"{path}: not a model; expected a run folder, a SavedModel, or a file {', '.join(SUFFIXES)}")
    return _classifier(path, kind, RUNTIMES[kind][1](path), _labels_of)


def holds_model(path):
    """Whether `open_model` finds a model there."""
    return _kind_of(path) is not None or any((path / name).exists() for name in FILES)


def as_classifier(model):
    """What answers for a model, however it is given.

    Args:
        model: a path as `open_model` takes it, a `Classifier`, or a `keras.Model` from raw pixels to probabilities, whose classes
            have no names but their numbers.

    Returns:
        A `Classifier`.
    """
    if isinstance(model, keras.Model):
        return _classifier(model.name, "keras", _of_keras(model, model.name), _numbered)
    return model if isinstance(model, Classifier) else open_model(model)


def _classifier(path, kind, opened, labels_of):
    raw, shape, classes, model = opened
    if len(shape) != 4 or shape[3] != 3 or None in shape[1:3]:
        raise UserError(f"{path}: takes inputs of shape {shape}; expected images, (batch, height, width, 3)")
    if max(shape[1:3]) > MOST_SIDE or (classes or 0) > MOST_CLASSES:
        raise UserError(
            f"{path}: takes images of {shape[2]} x {shape[1]} and knows {classes:,} classes; "
            f"expected at most {MOST_SIDE:,} pixels a side and {MOST_CLASSES:,} classes"
        )
    labels = labels_of(path, classes)
    superclasses = labels.get("superclasses")
    return Classifier(
        Path(path),
        kind,
        raw,
        (int(shape[1]), int(shape[2])),
        tuple(labels["classes"]),
        tuple(superclasses) if superclasses else None,
        float(labels.get("temperature", 1.0)),
        model,
    )


def _kind_of(path):
    return next((kind for kind, (is_one, _) in RUNTIMES.items() if is_one(path)), None)


def _model_in(path):
    """The model of a folder of models: the one that says most of itself."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; expected a model")
    if (path / "recipe.toml").exists():  # a run folder, which may be a stranger's
        refuse_links(path)
    if path.is_dir() and not _is_saved_model(path):
        found = [path / name for name in FILES if (path / name).exists()]
        if not found:
            raise UserError(f"{path}: holds no model; expected one of {', '.join(FILES)}")
        return found[0]
    return path


def _numbered(path, classes):
    return {"classes": [f"class {number}" for number in range(classes)]}


def _labels_of(path, classes):
    """What labels.json beside a model says; without it, what the file itself says."""
    beside = (path.parent / LABELS).is_file()
    file = path.parent / LABELS if beside else path
    try:
        labels = json.loads(file.read_text(encoding="utf-8")) if beside else labels_inside(path)
        if labels is None:
            return _numbered(path, classes)
        names = list(map(str, labels["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{file}: its labels cannot be read ({brief(error)}); expected {{"classes": [names]}}'
        ) from None
    if len(names) != classes:
        raise UserError(f"{file}: names {len(names)} classes, and {path.name} has {classes}; they belong to two models")
    return labels


def _open_keras(path):
    return _of_keras(load_untrusted(path), path)


def _of_keras(model, name):
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(
            f"{name}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; expected one of each"
        )
    return model.predict_on_batch, model.input_shape, model.output_shape[-1], model


def open_saved_model(path):
    tf = importlib.import_module("tensorflow")
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    (name, wanted), *_ = serve.structured_input_signature[1].items()
    (answer, given), *_ = serve.structured_outputs.items()

    def raw(images, loaded=loaded):  # a signature outlives its variables unless somebody holds the model
        return serve(**{name: tf.constant(np.asarray(images, np.float32))})[answer].numpy()

    return raw, tuple(wanted.shape), given.shape[-1], None


def open_onnx(path):
    session = _extra("onnxruntime", "onnx").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (image, *_), (answer, *_) = session.get_inputs(), session.get_outputs()
    shape = tuple(side if isinstance(side, int) else None for side in image.shape)

    def raw(images):
        return session.run([answer.name], {image.name: np.asarray(images, np.float32)})[0]

    return raw, shape, answer.shape[-1], None


def open_litert(path):
    interpreter = _extra("ai_edge_litert.interpreter", "litert").Interpreter(model_path=str(path))
    (image, *_), (answer, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()

    def raw(images):
        if len(images) != interpreter.get_input_details()[0]["shape"][0]:
            interpreter.resize_tensor_input(image["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(image["index"], np.asarray(images, image["dtype"]))
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return raw, tuple(image["shape"]), int(answer["shape"][-1]), None


def _extra(module, extra):
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(f'{module} is not installed; expected it, by: pip install "kerastl[{extra}]"') from None


def _told(load):
    """What a runtime makes of a broken file, as one sentence."""

    def tell(path):
        try:
            return load(path)
        except UserError:
            raise
        except Exception as error:
            raise MissingWeights(f"{path}: cannot be loaded ({brief(error)}); expected a whole model") from None

    return tell


def _is_saved_model(path):
    return (path / "saved_model.pb").is_file()


def _has(*suffixes):
    return lambda path: path.is_file() and path.suffix.lower() in suffixes


# Kind -> (is it one, what opens it: raw, shape of the images, number of classes, Keras model or None).
RUNTIMES = {
    "keras": (_has(".keras"), _told(_open_keras)),
    "h5": (_has(".h5", ".hdf5"), _told(_open_keras)),
    "saved_model": (_is_saved_model, _told(open_saved_model)),
    "onnx": (_has(".onnx"), _told(open_onnx)),
    "litert": (_has(".tflite"), _told(open_litert)),
}
SUFFIXES = (".keras", ".h5", ".onnx", ".tflite")
FILES = (
    "model.keras",
    "saved_model",
    "model.onnx",
    "model.tflite",
    "model.h5",
    "model-float16.tflite",
    "model-int8.tflite",
)
