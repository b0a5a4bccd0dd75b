"""A model as it answers, whatever kind of file it came from: pixels in, probabilities out, with the names of the classes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from scipy.special import softmax

from kerastl.deploy.labels import LABELS, labels_inside, read_labels_file
from kerastl.deploy.runtimes import RUNTIMES, SUFFIXES, is_saved_model, kind_of, of_keras
from kerastl.errors import KerastlWarning, UserError, brief, shortened
from kerastl.evaluate.calibration import with_temperature
from kerastl.files import refuse_links
from kerastl.run_folder import OF_LABELS
from kerastl.shapes import problem

FILES = (
    "model.keras",
    "saved_model",
    "model.onnx",
    "model.tflite",
    "model.h5",
    "model-float16.tflite",
    "model-int8.tflite",
)
MOST_SIDE = 4_096  # pixels: a batch of 64 such images has 3 GB
MOST_CLASSES = 1_000_000  # each gets a name
# What to do about a shape (batch, a, b, c) that is not that of images.
OTHER_SHAPES = {
    ". Its pictures are grey: begin it with three channels, as by Conv2D(1, 1)": lambda a, b, c: c == 1,
    ". It takes the channels first: begin it with a layer that moves them, as Permute((3, 1, 2))": lambda a, b, c: (
        a == 3
    ),
    ". Its size is open: fix it, as by keras.Model(image := keras.Input((224, 224, 3)), model(image))": lambda a, b, c: (
        c == 3
    ),
}
# By which activations a model ends that answers with shares, and with logits; of others the numbers are taken for logits as well.
SHARES, LOGITS = ("sigmoid", "hard_sigmoid"), ("linear", "log_softmax")
# Between 0 and 1, and summing to 1, as far as eight bits for each class tell.
ROUNDED, SUMS = 0.01, 0.1


@dataclass(frozen=True)
class Classifier:
    """A model that is ready to answer.

    Args:
        path: of the file or folder it was read from; of a `keras.Model` that was given, its name.
        kind: a name in `RUNTIMES`.
        raw: from an image batch, uint8 or float 0 to 255 of shape (n, height, width, 3), to the probabilities that the file itself
            answers with; of one that answers with logits, after softmax.
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
    kind = kind_of(path)
    if kind is None:
        raise UserError(f"{path}: not a model; expected a run folder, a SavedModel, or a file {', '.join(SUFFIXES)}")
    opened = RUNTIMES[kind][1](path)
    return _classifier(path, kind, opened, _labels_of(path))


def holds_model(path):
    """Whether `open_model` finds a model there."""
    return kind_of(path) is not None or any((path / name).exists() for name in FILES)


def as_classifier(model):
    """What answers for a model, however it is given.

    Args:
        model: a path as `open_model` takes it, a `Classifier`, or a `keras.Model` from raw pixels to probabilities, whose classes
            have no names but their numbers.

    Returns:
        A `Classifier`.
    """
    if isinstance(model, keras.Model):
        return _classifier(model.name, "keras", of_keras(model, model.name), None)
    return model if isinstance(model, Classifier) else open_model(model)


def _classifier(path, kind, opened, labels):
    shape = opened.shape
    if len(shape) != 4 or shape[3] != 3 or None in shape[1:3]:
        remedy = next((told for told, holds in OTHER_SHAPES.items() if len(shape) == 4 and holds(*shape[1:])), "")
        raise UserError(f"{path}: takes inputs of shape {shape}; expected images, (batch, height, width, 3){remedy}")
    place, columns = _answer(path, opened.outputs, labels and len(labels["classes"]))
    if max(shape[1:3]) > MOST_SIDE or columns > MOST_CLASSES:
        raise UserError(
            f"{path}: takes images of {shape[2]} x {shape[1]} and knows {columns:,} classes; "
            f"expected at most {MOST_SIDE:,} pixels a side and {MOST_CLASSES:,} classes"
        )
    size = int(shape[1]), int(shape[2])

    def answer(images):
        found = np.asarray(opened.run(images)[place], np.float32).reshape(len(images), columns)
        if np.isnan(found).any():
            raise UserError(
                f"{path}: answers with NaN, which is no number; expected weights of a training that did not diverge"
            )
        return found

    raw = _as_probabilities(path, answer, _ending(opened.model, place), columns, size)
    labels = labels or _numbered(max(columns, 2))
    superclasses = labels.get("superclasses")
    return Classifier(
        Path(path),
        kind,
        raw,
        size,
        tuple(labels["classes"]),
        tuple(superclasses) if superclasses else None,
        float(labels.get("temperature", 1.0)),
        opened.model,
    )


def _answer(path, outputs, wanted):
    """The place of the output that tells the classes apart, and its columns; one column tells two classes apart."""
    if len(outputs) == 1:
        [columns] = outputs.values()
        if columns is None:
            raise UserError(f"{path}: its output is no row of numbers for each image; expected one for each class")
        if wanted not in (None, columns) and (columns, wanted) != (1, 2):
            raise UserError(
                f"{path}: the labels name {wanted:,} classes, and {Path(path).name} has {columns:,}; they belong to two models"
            )
        return 0, columns
    fit = [place for place, columns in enumerate(outputs.values()) if columns and columns == wanted]
    if len(fit) != 1:
        there = ", ".join(shortened([f"{name} ({columns or 'no row'})" for name, columns in outputs.items()]))
        raise UserError(
            f"{path}: has the outputs {there}; expected one, or a {LABELS} that names as many classes as one of them alone has columns"
        )
    return fit[0], wanted


def _ending(model, place):
    """By what a Keras model ends: the name of an activation, where it can be seen."""
    last = model and model.outputs[place]._keras_history.operation
    while isinstance(last, keras.Model):
        last = last.outputs[0]._keras_history.operation
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    return getattr(getattr(last, "activation", None), "__name__", None)


def _as_probabilities(path, answer, ending, columns, size):
    """What answers with a probability for each class, whatever the model ends by; what is no matter of course is said.

    Args:
        path: of the model, for what is said.
        answer: from images to float32 of shape (n, columns).
        ending: the name of the last activation, or None; then some pictures tell.
        columns: of the answer; one tells two classes apart.
        size: height and width of the images.
    """
    if columns > 1 and ending == "softmax":
        return answer
    found = answer(_some_pictures(size))
    shares = bool(((found >= -ROUNDED) & (found <= 1 + ROUNDED)).all())
    shares = ending in SHARES if ending else shares
    logits = "logits" if ending in (None, *LOGITS) else f"what {ending} gives, which is taken for logits"
    if columns == 1:
        if shares:
            return lambda images: _of_two(answer(images))
        _say(
            path,
            f"answers with {'one logit' if logits == 'logits' else logits}; it is shown as a probability by the sigmoid function",
        )
        return lambda images: _of_two(1 / (1 + np.exp(-np.clip(answer(images), -80, 80))))
    if shares and (np.abs(found.sum(axis=1) - 1) < SUMS).all():
        return answer
    if shares:
        _say(
            path,
            "answers for each class by itself: its probabilities need not sum to 1, and several classes may be right",
        )
        return answer
    _say(path, f"answers with {logits}; they are shown as probabilities by softmax")
    return lambda images: softmax(answer(images), axis=1)


def _some_pictures(size):
    """Black, white, and noise of the same on every call."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    return np.concatenate([np.zeros_like(noise[:1]), np.full_like(noise[:1], 255), noise])


def _of_two(of_the_second):
    return np.concatenate([1 - of_the_second, of_the_second], axis=1)


def _say(path, what):
    warnings.warn(f"{path}: {what}", KerastlWarning, stacklevel=4)


def _model_in(path):
    """The model of a folder of models: the one that says most of itself."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; expected a model")
    if (path / "recipe.toml").exists():  # a run folder, which may be a stranger's
        refuse_links(path)
    if path.is_dir() and not is_saved_model(path):
        found = [path / name for name in FILES if (path / name).exists()]
        if not found:
            raise UserError(f"{path}: holds no model; expected one of {', '.join(FILES)}")
        return found[0]
    return path


def _numbered(classes):
    return {"classes": [f"class {number}" for number in range(classes)]}


def _labels_of(path):
    """What labels.json beside a model says; without it, what the file itself says; None where nothing does."""
    beside = (path.parent / LABELS).is_file()
    file = path.parent / LABELS if beside else path
    expected = 'expected {"classes": [names]}'
    try:
        labels = read_labels_file(file) if beside else labels_inside(path)
        if labels is None:
            return None
        names = [str(name) if isinstance(name, int) else name for name in labels["classes"]]
        labels = {**labels, "classes": names}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: its labels cannot be read ({brief(error)}); {expected}") from None
    if told := problem(labels, OF_LABELS):
        raise UserError(f"{file}: its labels cannot be used: {told}")
    superclasses = labels.get("superclasses")
    if superclasses and len(superclasses) != len(names):
        raise UserError(
            f"{file}: its labels cannot be used: found {len(superclasses)} superclasses; expected one for each of {len(names)} classes"
        )
    return labels
