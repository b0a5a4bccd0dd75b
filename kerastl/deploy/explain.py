"""Why a model answers as it does: where in an image it looks, and which training images look alike to it."""

import hashlib
import itertools
import os
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerastl import strict
from kerastl.deploy.classifier import as_classifier
from kerastl.deploy.predict import NO_NUMBERS, Prediction, decoded
from kerastl.errors import KerastlWarning, UserError
from kerastl.evaluate.drawing import Figure, drawn, save
from kerastl.evaluate.gradcam import overlay
from kerastl.evaluate.plots import OKABE_ITO, named
from kerastl.evaluate.similar import Neighbour, open_lookalikes
from kerastl.files import disk_told
from kerastl.outputs import check_apart, check_folder
from kerastl.recipe import recipe

BATCH = 16
LONGEST = 200  # bytes of a name that its picture keeps: systems take 255, and "-explained-2.png" follows
SHOWN_SIDE = 256  # pixels to which small images are enlarged before colours are laid over them


@dataclass(frozen=True)
class Explanation(Prediction):
    """What a model says of one image, and what speaks for it.

    Args:
        file, classes, probabilities, error: as of a `Prediction`.
        explained: name of the class whose evidence is shown.
        pixels: uint8 array of shape (height, width, 3): the image as the model takes it.
        heatmap: float32 array of shape (height, width), 0 to 1: where the evidence is (see `gradcam`).
        neighbours: the most similar training images, as `Neighbour`; empty without a run.
        picture: path of the PNG, or None.
    """

    explained: str | None = None
    pixels: np.ndarray | None = None
    heatmap: np.ndarray | None = None
    neighbours: tuple[Neighbour, ...] = ()
    picture: Path | None = None


def explain(model, images, out=None, *, class_name=None, layer=None, similar=None, neighbours=5, top=5):
    """Show why a model answers as it does.

    Args:
        model: a run folder, a `.keras` or `.h5` file, a `Classifier` of one, or a `keras.Model` from raw pixels to probabilities.
        images: as `predict` takes them: a path, a folder, a Pillow image, an array, or any iterable of these.
        out: folder for a picture of each explanation; made where it is missing. None for no pictures.
        class_name: the class whose evidence is shown (default: the answer).
        layer: whose maps are looked at (default: the last before the features); see `gradcam`.
        similar: run folder whose training images are searched (default: MODEL's own, where it is a run folder).
        neighbours: how many similar training images; 0 for none.
        top: how many classes are named, the most probable first.

    Returns:
        A list with an `Explanation` for each image, in order. One that is broken has its `error`, and nothing else.

    Raises:
        UserError: a model that is not in a Keras file, no such class, layer or run, or what `predict` refuses.

    Example:
        >>> [it] = explain("runs/first", "photos/1.jpg", "why")  # doctest: +SKIP
        >>> it.classes[0], it.picture, it.neighbours[0].label  # doctest: +SKIP
        ('cat', PosixPath('why/1.png'), 'cat')
    """
    how = {"class_name": class_name, "layer": layer, "similar": similar, "neighbours": neighbours, "top": top}
    return list(explain_stream(model, images, out, **how))


def explain_stream(model, images, out=None, *, class_name=None, layer=None, similar=None, neighbours=5, top=5):
    """As `explain`, one after another."""
    if out is not None:
        check_folder(out)
        for run in (model, similar):
            if isinstance(run, str | os.PathLike) and (Path(run) / "recipe.toml").is_file():
                check_apart(out, recipe(Path(run) / "recipe.toml").data)
    classifier = as_classifier(model)
    if class_name is not None and class_name not in classifier.class_names:
        raise UserError(f"class: found {class_name!r}; {strict.suggest(class_name, classifier.class_names)}")
    classifier.evidence(
        np.zeros((0, *classifier.size, 3)), layer=layer
    )  # says now that there is none, or no such layer
    lookalikes = _lookalikes(classifier, similar) if neighbours else None
    if out is not None:
        with disk_told(out):
            Path(out).mkdir(parents=True, exist_ok=True)
    stream, taken = decoded(images, classifier.size, BATCH), Counter()
    while some := list(itertools.islice(stream, BATCH)):
        sound = [(file, pixels) for file, pixels, error in some if not error]
        explained = iter(_explained(classifier, sound, class_name, layer, top))
        similar_to = iter(
            lookalikes.neighbours([pixels for _, pixels in sound], neighbours) if lookalikes and sound else ()
        )
        for file, _, error in some:
            if error:
                yield Explanation(file, error=error)
                continue
            it = replace(next(explained), neighbours=tuple(next(similar_to, ())))
            yield it if out is None or it.error else _drawn(it, Path(out), taken)


def _lookalikes(classifier, run):
    """The training images to search, or None, with a warning."""
    own = classifier.path.parent
    if run is None and not (classifier.path.exists() and (own / "recipe.toml").is_file()):
        warnings.warn(
            f"no similar training images, as {classifier.path} is not in a run folder; to see some, name the run that has them "
            "(--similar RUN)",
            KerastlWarning,
            stacklevel=4,
        )
        return None
    return open_lookalikes(classifier.model, own if run is None else run)


def _explained(classifier, sound, class_name, layer, top):
    """Explanations of images that stand in memory, without pictures and neighbours."""
    if not sound:
        return
    pixels, names = np.stack([image for _, image in sound]), classifier.class_names
    probabilities = classifier.answer(pixels)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    asked = order[:, 0] if class_name is None else np.full(len(pixels), names.index(class_name))
    heat = classifier.evidence(pixels, asked, layer)
    for (file, image), row, best, label, warm in zip(sound, probabilities, order[:, :top], asked, heat, strict=True):
        if not np.isfinite(row).all():
            yield Explanation(file, error=NO_NUMBERS)
            continue
        classes, shares = tuple(names[it] for it in best), tuple(row[best].tolist())
        yield Explanation(file, classes, shares, explained=names[label], pixels=image, heatmap=warm)


def _drawn(it, out, taken):
    """The same explanation with its picture: NAME-explained.png, and NAME-explained-2.png for the next image of that name."""
    name = f"{_short_stem(it.file)}-explained"  # should the images stand in the same folder
    taken[name] += 1
    path = out / (f"{name}.png" if taken[name] == 1 else f"{name}-{taken[name]}.png")
    with disk_told(out):
        draw_explanation(it, path)
    return replace(it, picture=path)


def _short_stem(file):
    """The stem of a file name, cut where the name of its picture would be too long; a digest keeps it one of its kind."""
    stem = os.fsencode(Path(file).stem)
    if len(stem) <= LONGEST:
        return os.fsdecode(stem)
    # Cut between letters: a file system may refuse half of one.
    whole_letters = stem[: LONGEST - 13].decode("utf-8", "ignore")
    return f"{whole_letters}-{hashlib.sha256(stem).hexdigest()[:12]}"


@drawn
def draw_explanation(it, path):
    """The image, where the evidence for a class is in it, the answer, and the training images that look alike.

    Args:
        it: an `Explanation` of a sound image.
        path: of the PNG.
    """
    heights = (3.3, 2.35) if it.neighbours else (3.3,)
    figure = Figure(figsize=(10, sum(heights)), layout="constrained")
    above, *below = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    image, evidence, answer = above.subplots(1, 3)
    times = max(1, SHOWN_SIDE // min(it.pixels.shape[:2]))
    large = it.pixels.repeat(times, axis=0).repeat(times, axis=1)
    _draw_image(image, large, named("image", it.file))
    _draw_image(evidence, overlay(large, it.heatmap), f"evidence for {it.explained}")
    _draw_answer(answer, it)
    for row in below:
        row.suptitle("training images that are most alike to the model", fontsize=10)
        for axes, near in zip(row.subplots(1, len(it.neighbours), squeeze=False)[0], it.neighbours, strict=True):
            colour = OKABE_ITO["right" if near.label == it.classes[0] else "wrong"]
            title = f"{near.label} {near.similarity:.2f}\n{named('train', near.image)}"
            _draw_image(axes, near.pixels, title, fontsize=8, color=colour)
    save(figure, path)


def _draw_image(axes, pixels, title, **how):
    axes.imshow(pixels, interpolation="nearest")
    axes.set_title(title, **{"fontsize": 10, **how})
    axes.axis("off")


def _draw_answer(axes, it):
    colours = [OKABE_ITO["train" if name == it.explained else "line"] for name in it.classes]
    axes.barh(range(len(it.classes)), it.probabilities, 0.4, color=colours)
    for place, (name, share) in enumerate(zip(it.classes, it.probabilities, strict=True)):
        axes.text(0, place - 0.25, f"{name} {share:.1%}", va="bottom", fontsize=9)
    axes.set(ylim=(max(len(it.classes), 5) - 0.4, -0.8), xlim=(0, 1))
    axes.axis("off")
