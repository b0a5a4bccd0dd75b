"""The verdict on a finished model: its scores on every split, and what of its answers is kept in the run folder."""

import numpy as np

from kerastl.evaluate.calibration import calibration, coverage, fit_temperature, with_temperature
from kerastl.evaluate.metrics import judge, predict_probabilities
from kerastl.evaluate.plots import draw_curves, draw_grid
from kerastl.evaluate.superclasses import judge_superclasses
from kerastl.evaluate.trust import examine
from kerastl.files import whole
from kerastl.parts import Parts
from kerastl.train.history import read_history
from kerastl.train.tensorboard import show_answers

GRID = 12  # images in the True/False picture
SCORES = ("n", "accuracy", "interval", "loss", "top5")


def headline(metrics):
    """What is told of a run in a line: the scores of each split, and of test without the images that were trained on.

    Example:
        >>> headline({"test": {"n": 4, "accuracy": 0.5, "confusion": [[1, 1], [1, 1]]}, "seconds": 3.0})
        {'test': {'n': 4, 'accuracy': 0.5}}
    """
    splits = {name: metrics[name] for name in ("train", "validation", "test") if name in metrics}
    told = {name: {score: it[score] for score in SCORES if score in it} for name, it in splits.items()}
    copies = metrics.get("trust", {}).get("test")
    if copies and (copies["exact"] or copies["near"]):
        told["test_without_duplicates"] = copies["without_duplicates"]
    return told


def judge_splits(model, data, spec, folder, phases, score_test):
    """Judge a finished model on every split, once, and write answers and pictures into the run folder.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        data: its `Data`.
        spec: the `Recipe`.
        folder: of the run, with its history.csv.
        phases: what `fit` said of each.
        score_test: False leaves the test split alone.

    Returns:
        A dict as metrics.json holds it: from split to its scores; from "temperature" to what was fitted on validation images
        alone: value, interval, n; None without them; and from "trust" to what `examine` found, where the test split is scored. Each
        part stands alone: "failed" names those that failed, with the reason, and what they would have given is not there.
    """
    parts, answered, temperature = Parts(), {}, None
    history = read_history(folder / "history.csv")
    with parts.alone("curves.png"):
        draw_curves(history, folder / "curves.png")
    splits = {"validation": data.validation, "test": data.test if score_test else None}
    table = {"train": _as_trained(history, phases, len(data.train))}
    for name, images in splits.items():
        if not images:
            continue
        with parts.alone(f"judging on {name}"):
            plain, probabilities = answers(model, images, spec, name)
            _keep(probabilities, images, folder / f"predictions_{name}.npz")
            table[name], answered[name] = _judge_split(plain, probabilities, images, data, spec), probabilities
            if name == "validation":
                with parts.alone("temperature"):
                    temperature = {"fitted_on": name, **fit_temperature(plain, images.labels)}
            with parts.alone(f"calibration on {name}"):
                table[name] |= _trusted(plain, images.labels, temperature, spec.seed, name)
    table["temperature"] = temperature
    if "test" in answered:
        with parts.alone("predictions.png"):
            _draw_answers(data, answered["test"], spec, folder / "predictions.png")
            show_answers(folder, folder / "predictions.png")
        with parts.alone("copies and doubted labels"):
            table["trust"] = examine(data, answered, spec, folder)
    return table | ({"failed": parts.failed} if parts.failed else {})


def _keep(probabilities, images, path):
    with whole(path) as temporary:
        np.savez_compressed(temporary, probabilities=probabilities, labels=images.labels)


def _draw_answers(data, probabilities, spec, path):
    chosen = grid_places(len(data.test), spec.seed)
    shown = data.test.subset(chosen)
    draw_grid(shown.pixels[:], shown.labels, probabilities[chosen], data.class_names, path)


def _judge_split(plain, probabilities, images, data, spec):
    report = judge(probabilities, images.labels, data.class_names, spec.seed).to_dict()
    if plain is not probabilities:
        alone = judge(plain, images.labels, data.class_names, spec.seed)
        report["without_flip"] = {"accuracy": alone.accuracy, "interval": alone.interval, "loss": alone.loss}
    if data.superclasses:
        report["by_superclass"] = judge_superclasses(probabilities, images.labels, data.superclasses)
    return report


def _trusted(plain, labels, temperature, seed, name):
    """How far the saved model's confidence can be trusted, as it is and, with what was fitted on other images, tempered."""
    found = calibration(plain, labels, seed)
    if temperature and temperature["value"]:
        plain = with_temperature(plain, temperature["value"])
        if name != temperature["fitted_on"]:
            found["tempered"] = calibration(plain, labels, seed)
    return {"calibration": found, "coverage": coverage(plain, labels)}


def answers(model, images, spec, name):
    """What the model says of a split, and what the recipe has it judged by: the same, or the mean with mirror images.

    Returns:
        Two arrays of shape (n, classes), which are one and the same without `evaluate.flip`.
    """
    plain = predict_probabilities(model, images, spec.train.evaluation_batch, title=f"judge on {name}")
    if not spec.evaluate.flip:
        return plain, plain
    title = f"judge on {name}, mirrored"
    mirrored = predict_probabilities(model, images, spec.train.evaluation_batch, title, flip=True)
    return plain, (plain + mirrored) / 2


def _as_trained(history, phases, n):
    """Loss and accuracy on the training images, as they were on the way through the epoch whose weights were kept."""
    counted = [
        phase for phase in phases if phase["best_epoch"] != 0
    ] or phases  # the others went back to what was before them
    last = next(place for place, phase in enumerate(phases) if phase is counted[-1])
    first = sum(phase["epochs"] for phase in phases[:last])
    row = history[first + (counted[-1]["best_epoch"] or counted[-1]["epochs"]) - 1]
    return {"n": n, "loss": row["loss"], "accuracy": row["accuracy"]}


def grid_places(n, seed):
    """The places of the images in the True/False picture, of n."""
    return np.sort(np.random.default_rng(seed).choice(n, min(GRID, n), replace=False))
