"""The verdict on a finished model: its scores on every split, and what of its answers is kept in the run folder."""

import numpy as np

from kerastl.evaluate.metrics import judge, predict_probabilities
from kerastl.evaluate.plots import draw_curves, draw_grid
from kerastl.files import whole
from kerastl.train.history import read_history
from kerastl.train.tensorboard import show_answers

GRID = 12  # images in the True/False picture
SCORES = ("n", "accuracy", "interval", "loss", "top5")


def headline(metrics):
    """What is told of a run in a line: the scores of each split.

    Example:
        >>> headline({"test": {"n": 4, "accuracy": 0.5, "confusion": [[1, 1], [1, 1]]}, "seconds": 3.0})
        {'test': {'n': 4, 'accuracy': 0.5}}
    """
    splits = {name: metrics[name] for name in ("train", "validation", "test") if name in metrics}
    return {name: {score: it[score] for score in SCORES if score in it} for name, it in splits.items()}


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
        A dict from split to its scores, as metrics.json holds them.
    """
    history = read_history(folder / "history.csv")
    draw_curves(history, folder / "curves.png")
    splits = {"validation": data.validation, "test": data.test if score_test else None}
    scores = {name: _judge_split(model, images, data, spec, folder, name) for name, images in splits.items() if images}
    if score_test:
        show_answers(folder, folder / "predictions.png")
    return {"train": _as_trained(history, phases[-1], len(data.train)), **scores}


def _judge_split(model, images, data, spec, folder, name):
    plain, probabilities = answers(model, images, spec, name)
    with whole(folder / f"predictions_{name}.npz") as path:
        np.savez_compressed(path, probabilities=probabilities, labels=images.labels)
    if name == "test":
        chosen = np.sort(np.random.default_rng(spec.seed).choice(len(images), min(GRID, len(images)), replace=False))
        shown = images.subset(chosen)
        draw_grid(shown.pixels[:], shown.labels, probabilities[chosen], data.class_names, folder / "predictions.png")
    report = judge(probabilities, images.labels, data.class_names).to_dict()
    if plain is not probabilities:
        alone = judge(plain, images.labels, data.class_names)
        report["without_flip"] = {"accuracy": alone.accuracy, "interval": alone.interval, "loss": alone.loss}
    return report


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


def _as_trained(history, last_phase, n):
    """Loss and accuracy on the training images, as they were on the way through the epoch whose weights were kept."""
    rows = history[-last_phase["epochs"] :]
    row = rows[(last_phase["best_epoch"] or len(rows)) - 1]
    return {"n": n, "loss": row["loss"], "accuracy": row["accuracy"]}
