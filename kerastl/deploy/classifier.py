"""A model as it answers, whatever kind of file it came from: pixels in, probabilities out, with the names of the classes."""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np

from kerastl.deploy.endings import ENDINGS, ending_of, probabilities_of
from kerastl.deploy.labels import LABELS, labels_inside, read_labels_file
from kerastl.deploy.layouts import Layout, layout_of
from kerastl.deploy.runtimes import RUNTIMES, SUFFIXES, is_saved_model, kind_of, of_keras, row_of
from kerastl.errors import KerastlError, KerastlWarning, UserError, brief, shortened
from kerastl.evaluate.calibration import with_temperature
from kerastl.evaluate.gradcam import gradcam
from kerastl.files import refuse_links
from kerastl.model.cut import activation_of
from kerastl.model.inline import inlined
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


def part_seen(size):
    """What of a picture a model of a height and width sees, in words."""
    height, width = size
    return "the middle square" if height == width else "the middle"


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
        place: of the output that answers, among those of the model.
        layout: how the model takes its pictures.
    """

    path: Path
    kind: str
    raw: Callable
    size: tuple[int, int]
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None = None
    temperature: float = 1.0
    model: keras.Model | None = None
    place: int = 0
    layout: Layout | None = None

    @cached_property
    def graph(self):
        """The model as one flat graph with one output, whose layers can be looked into; None where the file holds no `keras.Model`."""
        return self.model and _flat(self.model, self.place)

    def evidence(self, images, classes=None, layer=None):
        """Where in images the model finds the evidence for a class: see `gradcam`.

        Raises:
            UserError: there is no looking into this model, or what `gradcam` refuses.
        """
        if self.model is None:
            raise UserError(
                f"{self.path}: a {self.kind} model, whose layers cannot be looked into; expected a run folder, or a .keras or .h5 file"
            )
        if self.layout and not self.layout.channels_last:
            raise UserError(f"{self.path}: has its channels first; Grad-CAM expects maps with the channels last")
        return gradcam(self.graph, self.layout.given(images) if self.layout else images, classes, layer)

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
    layout = layout_of(opened.shape, path)
    if max(layout.size) > MOST_SIDE:
        raise UserError(f"{path}: takes images of {_by(layout.size)}; expected at most {MOST_SIDE:,} pixels a side")
    outputs, run = opened.outputs, _told(opened.run, path)
    if not all(isinstance(columns, int) for columns in outputs.values()):  # the file does not say, or it is no row
        found = run(layout.given(_some_pictures(layout.size)[:1]))
        outputs = dict(zip(outputs, map(row_of, found), strict=True))
    place, columns = _answer(path, outputs, labels and len(labels["classes"]))
    if columns > MOST_CLASSES:
        raise UserError(f"{path}: knows {columns:,} classes; expected at most {MOST_CLASSES:,}")

    def answer(images):
        return np.asarray(run(layout.given(images))[place], np.float32).reshape(len(images), columns)

    activation = activation_of(opened.model.outputs[place]) if opened.model else None
    ending = ending_of(path, activation, columns, lambda: answer(_some_pictures(layout.size)))
    for said in (*layout.said, ENDINGS[ending][0]):
        if said:
            _say(path, said)
    labels = labels or _numbered(max(columns, 2))
    superclasses = labels.get("superclasses")
    return Classifier(
        Path(path),
        kind,
        lambda images: probabilities_of(path, ending, answer(images)),
        layout.size,
        tuple(labels["classes"]),
        tuple(superclasses) if superclasses else None,
        float(labels.get("temperature", 1.0)),
        opened.model,
        place,
        layout,
    )


def _flat(model, place):
    """A model without the models in it, from pixels in floating point to one of its outputs."""
    if not isinstance(model, keras.Sequential) and not (
        model.input is model.inputs[0] and model.output is model.outputs[0]
    ):
        model = keras.Model(
            model.inputs[0], model.outputs[place], name=model.name
        )  # of lists and tables, one tensor each
    with contextlib.suppress(
        ValueError, TypeError, NotImplementedError
    ):  # a graph that cannot be followed stays as it is
        model = inlined(model)
    if "float" not in model.inputs[0].dtype:  # no gradient leads through whole numbers
        pixels = keras.Input(model.inputs[0].shape[1:], dtype="float32")
        model = keras.Model(pixels, model._run_through_graph(pixels, operation_fn=lambda layer: layer), name=model.name)
    return model


def _told(run, path):
    """What a runtime makes of pictures that a model cannot take after all, as one sentence."""

    def tell(images):
        try:
            return run(images)
        except (KerastlError, MemoryError):
            raise
        except Exception as error:
            raise UserError(
                f"{path}: cannot answer to images of shape {np.shape(images)} ({brief(error)}); expected a model that can, on this machine"
            ) from None

    return tell


def _by(size):
    return f"{size[1]} x {size[0]}"


def _answer(path, outputs, wanted):
    """The place of the output that tells the classes apart, and its columns; one column tells two classes apart."""
    rows = {place: columns for place, columns in enumerate(outputs.values()) if isinstance(columns, int)}
    told = ", ".join(shortened([f"{name} ({columns})" for name, columns in outputs.items()]))
    if not rows:
        raise UserError(
            f"{path}: its output is no row of numbers for each image, but {told}; expected a number for each class"
        )
    fit = [place for place, columns in rows.items() if wanted in (None, max(columns, 2))]
    exact = [place for place in fit if rows[place] == wanted]
    if len(fit) == 1 or len(exact) == 1:
        place = (exact if len(exact) == 1 else fit)[0]
        return place, rows[place]
    if len(rows) == 1:
        [columns] = rows.values()
        raise UserError(
            f"{path}: the labels name {wanted:,} classes, and {Path(path).name} has {max(columns, 2):,}; they belong to two models"
        )
    raise UserError(
        f"{path}: has the outputs {told}; expected one, or a {LABELS} that names as many classes as one of them alone has columns. "
        "Otherwise save the model with that output alone"
    )


def _some_pictures(size):
    """Black, white, and noise of the same on every call."""
    noise = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
    return np.concatenate([np.zeros_like(noise[:1]), np.full_like(noise[:1], 255), noise])


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
