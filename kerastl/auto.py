"""The automatic recipe: from a dataset, a machine and minutes to an ordinary recipe, with a reason for each choice.

look at the data -> candidates whose weights are here -> seconds of each -> features, a solved head, folds -> the best -> phases

What is decided is a `Recipe` like any other; who wants something else overrides it, or edits the file.
"""

import os
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kerastl.auto_tables import (
    BACKWARD,
    CANDIDATES,
    FALL,
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    RATE,
    SCALES,
    SMOOTHING,
    TUNED,
    Candidate,
)
from kerastl.data.arrays import folder_of_arrays
from kerastl.data.decode import opened
from kerastl.data.folder import list_folder
from kerastl.data.load import load
from kerastl.errors import BrokenImage, MissingWeights, UserError
from kerastl.model.cut import split
from kerastl.model.graph import FEATURES, build_model
from kerastl.recipe import Recipe, from_table
from kerastl.train.devices import worker
from kerastl.train.features import Mirror, Pass, Trunk, features_in_memory
from kerastl.train.solve import Examples, out_of_fold
from kerastl.voice import tell

MINUTES = 30.0  # at most, where nobody says
# Of the minutes: seconds for start, judging, exports and report, and shares of the rest for the choice and for fine-tuning.
AROUND, CHOOSING, TUNING = 45.0, 0.3, 0.6
PASSES, MARGIN = (
    3,
    1.2,
)  # through the frozen layers, for each image: of train in two views, of the others to judge; and to be safe
HEAD = {"name": "head", "trainable": "head", "solve": "logistic"}  # the first phase
TRIED = 3  # candidates at most, beside the smallest
SAMPLE = 1_000  # training images that decide between candidates
LONGEST = 40  # letters of a name
HEADERS = 50  # files that are opened to see how large the images are
BATCH = 32  # images in a pass through frozen layers


@dataclass(frozen=True)
class Trial:
    """A candidate as it was tried.

    Args:
        candidate: a `Candidate`.
        seconds: that an image takes in a pass forward, decoded already.
        loss: of a solved head on images that it was not solved on.
        accuracy: the same.
        images: that decided.
        spec: the `Recipe` that it was tried with.
        sample: what `_sample` gave for it.
    """

    candidate: Candidate
    seconds: float
    loss: float
    accuracy: float
    images: int
    spec: Recipe
    sample: tuple


def automatic(source, minutes=None, strategy=None, **overrides):
    """Decide on a recipe for a dataset: split, backbone, image size, phases and their length.

    Args:
        source: a folder of class folders, a data.name as "cifar10" or "tfds:NAME", or arrays (images, labels), which are kept as a folder.
        minutes: until the run has to be over; None: as long as it pays, 30 at most.
        strategy: the name of a strategy in place of the phases.
        **overrides: dotted keys and their values, which stay as they are: of the candidates only those that fit are tried.

    Returns:
        A `Recipe`; its `why` says of each choice why.

    Raises:
        UserError: data that the user can mend, too few minutes, or no weights at all.

    Example:
        >>> automatic("photos", minutes=10).model.backbone  # doctest: +SKIP
        'EfficientNetV2B0'
    """
    if worker()[1] > 1:
        raise UserError(
            f"{source}: several workers would each choose a recipe of their own; choose one on one machine, and name its recipe.toml here"
        )
    began, budget = time.monotonic(), 60 * (minutes or MINUTES)
    source = folder_of_arrays(source) if isinstance(source, tuple) else source
    table, why = _about_data(str(source))
    named = f"the automatic recipe for {source}"
    before = {key: value for key, value in overrides.items() if not key.startswith("phases.")}  # there are none yet
    look = from_table(table | _NOT_YET, named, **before)
    n, side = _count(look.data)
    scale = next(it for it in SCALES if n <= it.images)
    table["data"]["validation"] = scale.validation
    table["train"] = {"batch_size": scale.batch_size, "evaluation_batch": BATCH, "label_smoothing": SMOOTHING}
    trials = _try(table, side, before, CHOOSING * (budget - AROUND), named)
    best = min(trials, key=lambda it: it.loss)
    if "augment.flip" not in before:
        table["augment"], why["augment.flip"] = _mirrored(best)
    table |= _tables_of(best.candidate, table, side)
    why |= {"model.backbone": _told(trials), "model.image_size": f"as {best.candidate.backbone} is tried"}
    if "image_size" in table["data"]:
        why["data.image_size"] = f"the images are {side} pixels wide; the graph enlarges them"
    left = budget - AROUND - (time.monotonic() - began)
    needed = MARGIN * PASSES * n * best.seconds
    if left < needed:
        least = (budget - left + needed) / 60
        raise UserError(
            f"--minutes: found {budget / 60:g}; the frozen layers alone need more. Expected {least:.1f} or more"
        )
    table["train"]["minutes"] = round(left / 60, 2)
    why["train.minutes"] = "what is left of the time; the best so far is kept then"
    table["phases"] = _phases(why, best, scale, n, TUNING * (left - needed))
    if strategy:
        why = {key: told for key, told in why.items() if not key.startswith("phases.")}
    table["why"] = {key: f"as asked for; {told}" if key in overrides else told for key, told in why.items()}
    spec = from_table(table, named, strategy, **overrides)
    tell("automatic", "\n".join(_lines(spec, n)), recipe=spec.name, why=spec.why)
    return spec


_NOT_YET = {
    "model": {"backbone": CANDIDATES[0].backbone, "image_size": CANDIDATES[0].image_size},
    "phases": [HEAD],
}


def _about_data(source):
    """What the recipe says of the data, and why; whatever there is of it."""
    is_folder = os.path.isdir(source)  # noqa: PTH112 (a name that is too long is none)
    name = Path(source).resolve().name if is_folder else source
    name = "".join(letter if letter.isalnum() else "-" for letter in name)[:LONGEST].strip("-") or "images"
    table = {
        "name": name,
        "description": f"Chosen by kerastl for {name}.",
        "data": {"name": f"folder:{source.rstrip('/') or '/'}" if is_folder else source},
    }
    return table, {"data.validation": "decides what is kept; the test images are scored once, at the end"}


def _count(spec):
    """How many images there are to train on, those to validate on included; and the side of most of them, of a folder."""
    if not spec.name.startswith("folder:"):
        data = load(spec, CANDIDATES[0].image_size)
        return sum(data.counts), min(data.shape[:2])
    listing = list_folder(Path(spec.dir) / spec.name.removeprefix("folder:"), spec.splits)
    files = listing.files.get("train", [])
    n = len(files) + len(listing.files.get("validation", ()))
    n = n if "test" in listing.files else round(n * (1 - spec.test))
    sides = []
    for path in files[:: max(1, len(files) // HEADERS)]:
        try:
            with opened(path) as image:
                sides.append(min(image.size))
        except BrokenImage:  # told by name when all of them are read
            continue
    return min(n, spec.limit or n), round(statistics.median(sides or [CANDIDATES[0].image_size]))


def _tables_of(candidate, table, side):
    """The tables of the recipe that a candidate decides."""
    data = table["data"]
    if side < candidate.image_size and data["name"].startswith("folder:"):
        data = {**data, "image_size": side}
    return {"data": data, "model": {"backbone": candidate.backbone, "image_size": candidate.image_size}}


def _wanted(overrides):
    """The candidates that the overrides leave; a backbone that is none of them is taken as it is."""
    backbone, size = overrides.get("model.backbone"), overrides.get("model.image_size")
    found = [it for it in CANDIDATES if backbone in (None, it.backbone)]
    found = found or [Candidate(backbone, size or CANDIDATES[1].image_size, CANDIDATES[-1].billions, 0.0, "")]
    if size:
        found = {
            it.backbone: replace(it, image_size=size, billions=it.billions * (size / it.image_size) ** 2)
            for it in found
        }
    return list(found.values()) if size else found


def _try(table, side, overrides, seconds, source):
    """The smallest candidate whose weights can be had, and of those that then fit into the seconds the best by ImageNet.

    Returns:
        A list of `Trial`, one or more.
    """
    trials, waiting, missing, began = [], _wanted(overrides), [], time.monotonic()
    while waiting and len(trials) <= TRIED:
        if trials:
            rate = max(it.seconds / it.candidate.billions for it in trials)
            left = seconds - (time.monotonic() - began)
            waiting = [it for it in waiting if PASSES * rate * it.billions * trials[0].images <= left]
            waiting.sort(key=lambda it: -it.accuracy)
            if not waiting:
                break
        candidate = waiting.pop(0)
        spec = from_table(table | _NOT_YET | _tables_of(candidate, table, side), source, **overrides)
        try:
            trials.append(_trial(candidate, spec))
        except MissingWeights as error:
            missing.append(str(error))
            waiting = [it for it in waiting if it.backbone != candidate.backbone]
    if not trials:
        raise MissingWeights(missing[0])
    return trials


def _trial(candidate, spec):
    """A solved head on the features of a candidate, judged on training images that it was not solved on."""
    sample = trunk, train, _ = _sample(spec)
    size = trunk.how.batch_size
    pixels = np.resize(train.pixels[:size], (size, *train.shape)).astype(np.float32)
    trunk.run(pixels)  # traced
    began = time.perf_counter()
    trunk.run(pixels).numpy()
    seconds = (time.perf_counter() - began) / size
    loss, accuracy = _judged(sample, [None], spec, f"{candidate.backbone} at {candidate.image_size} pixels")
    return Trial(candidate, seconds, loss, accuracy, len(train), spec, sample)


def _mirrored(best):
    """The augmentation, and why: mirror images where a head that learned from them as well is no worse on images as they are."""
    loss, _ = _judged(best.sample, [None, Mirror((2,))], best.spec, "mirror images")
    told = f"with mirror images the loss on held-out images is {loss:.3f}, without them {best.loss:.3f}"
    return {"flip": "horizontal" if loss <= best.loss else "none"}, told


def _sample(spec):
    """The frozen part of a model, training images to try it on, and how many classes they have."""
    data = load(spec.data, spec.model.image_size, spec.seed)
    model = build_model(spec.model, data.shape, len(data.class_names))
    train = data.train
    if len(train) > SAMPLE:
        train = train.subset(np.sort(np.random.default_rng(spec.seed).permutation(len(train))[:SAMPLE]))
    how = Pass(budget=spec.train.cache_budget, batch_size=spec.train.evaluation_batch)
    return Trunk(split(model, FEATURES)[0], how), train, len(data.class_names)


def _judged(sample, views, spec, title):
    """Loss and accuracy of a solved head on images that it was not solved on, and that are as they are."""
    trunk, train, classes = sample
    return out_of_fold(Examples(features_in_memory(trunk, train, views, title), train.labels, classes), spec.seed)


def _told(trials):
    """Why the best of the trials was chosen."""
    ordered = sorted(trials, key=lambda it: it.loss)
    rows = [
        f"{it.candidate.backbone} at {it.candidate.image_size} {it.loss:.3f} (accuracy {it.accuracy:.3f}), {1 / it.seconds:.0f} images/s"
        for it in ordered
    ]
    return f"the lowest loss of solved heads on {trials[0].images:,} training images, by folds: {'; '.join(rows)}"


def _phases(why, best, scale, n, seconds):
    """The head is solved; what there is time for is fine-tuned after it, and counts where validation says so."""
    why["phases.0.solve"] = "the best that a head can be on frozen features, without a learning rate to choose"
    epoch = BACKWARD * best.seconds * n
    epochs = min(MOST_EPOCHS, int(seconds / epoch), max(FEWEST_EPOCHS, round(scale.steps * scale.batch_size / n)))
    if epochs < FEWEST_EPOCHS:
        why["phases.0.solve"] += f"; for fine-tuning there is no time, as an epoch of it takes {epoch:.0f} s"
        return [HEAD]
    rates = {group: RATE * FALL**place for place, group in enumerate(reversed(TUNED))}
    tuned = {
        "name": "fine-tune",
        "trainable": list(TUNED),
        "batch_norm": "freeze",
        "epochs": epochs,
        "optimizer": {
            "name": "adamw",
            "weight_decay": 0.01,
            "learning_rate": {group: float(f"{rates[group]:.2g}") for group in TUNED},
        },
        "schedule": {"name": "one-cycle"},
        "early_stopping": {"monitor": "val_accuracy", "patience": max(FEWEST_EPOCHS, epochs // 2)},
        "only_if_better": True,
    }
    why |= {
        "phases.1.epochs": f"some {epochs * n // scale.batch_size:,} steps; an epoch takes about {epoch:.0f} s here",
        "phases.1.batch_norm": "a few images say little about means and variances",
        "phases.1.only_if_better": "fine-tuning counts only if more validation images are right after it",
        "train.label_smoothing": "of fine-tuning: a solved head is right on its training images already, and would only grow more certain",
    }
    return [HEAD, tuned]


def _lines(spec, n):
    """What a person reads before it begins."""
    phases = ", then ".join(_phase_told(it) for it in spec.phases)
    return [
        f"data   {spec.data.name}: {n:,} images to train and validate on",
        f"model  {spec.model.backbone} at {spec.model.image_size} pixels ({spec.why['model.backbone']})",
        f"plan   {phases}",
        f"time   {spec.train.minutes:g} minutes of training at most",
    ]


def _phase_told(phase):
    if phase.solve:
        return f"{phase.name} (solved)"
    learns = (phase.trainable,) if isinstance(phase.trainable, str) else phase.trainable
    named = f", {' '.join(learns)}" if isinstance(learns, tuple) else ""
    return f"{phase.name} ({phase.epochs} epochs{named})"
