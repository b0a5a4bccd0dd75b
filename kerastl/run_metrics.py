"""What metrics.json of a run holds, as a table that a stranger's is compared with, and what of it has to go together."""

import numpy as np

from kerastl.shapes import AMOUNT, COUNT, INTERVAL, SHARE, Maybe, Names, Number, OneOf, problem

MOST_EPOCHS = 100_000

_CELLS = {"size": Number(1, 1_000_000, whole=True), "cells": [(COUNT, COUNT, COUNT)]}
_BINS = {
    "bins": [{"low": SHARE, "high": SHARE, "n": COUNT, "confidence": Maybe(SHARE), "accuracy": Maybe(SHARE)}],
    "ece": SHARE,
    "ece_interval": INTERVAL,
    "nll": AMOUNT,
    "brier": AMOUNT,
}
_SCORED = {"n": Number(1, 2**40, whole=True), "accuracy": SHARE, "loss": AMOUNT, "interval?": INTERVAL}
_COVERED = {"threshold": SHARE, "coverage": SHARE, "n": COUNT, "accuracy": Maybe(SHARE), "interval": Maybe(INTERVAL)}
_SPLIT = {
    **_SCORED,
    "interval": INTERVAL,
    "top5?": Maybe(SHARE),
    "top5_interval?": Maybe(INTERVAL),
    "loss_interval?": (AMOUNT, AMOUNT),
    "per_class": [{"name": str, "n": COUNT, "recall": SHARE, "precision?": SHARE, "f1?": SHARE}],
    "without_flip?": {"accuracy": SHARE, "interval": INTERVAL, "loss": AMOUNT},
    "by_superclass?": {
        "accuracy": SHARE,
        "interval": INTERVAL,
        "per_class": [{"name": str, "n": COUNT, "accuracy": SHARE}],
        "confusion": object,
    },
    "confusion": object,  # see `_misfit`
    "calibration?": {**_BINS, "tempered?": _BINS},
    "coverage?": [_COVERED],
}
_ALONE = {"accuracy": SHARE, "interval": INTERVAL, "n": COUNT}
_TRUST = {
    "test?": {
        "exact": COUNT,
        "near": Maybe(COUNT),
        "without_duplicates": Maybe(_ALONE),
        "pairs": [{"test": object, "train": object, "kind": str, "labels": (str, str)}],
    },
    "suspects": {
        "n": COUNT,
        "shown": [{"split": OneOf("validation", "test"), "label": str, "answer": str, "probability": SHARE}],
    },
}
_GROUP = {
    "name": str,
    "learning_rate": Maybe(Number(1e-30, 1e30)),
    **dict.fromkeys(("layers", "layers_trained", "parameters", "frozen_parameters"), COUNT),
}
_PLANNED = {
    "name": str,
    "epochs": Number(1, MOST_EPOCHS, whole=True),
    "steps_per_epoch": Number(1, 2**40, whole=True),
    "settings": Names(str),
    "groups": [_GROUP],
}
PHASE = {
    "name": str,
    "epochs": Number(0, MOST_EPOCHS, whole=True),
    "best_epoch": Maybe(Number(0, MOST_EPOCHS, whole=True)),
    "seconds": AMOUNT,
    "feature_seconds?": AMOUNT,
    "images_per_second": Maybe(Number(1e-9)),
}
_RECIPE = {
    "name": str,
    "description?": str,
    "strategy?": Maybe(str),
    "data": {"name": str},
    "model": {"backbone": str, "weights": str, "image_size": COUNT},
}
_EXPORTED = {
    "file": str,
    "megabytes": AMOUNT,
    "max_difference": AMOUNT,
    **dict.fromkeys(("agreement?",), SHARE),
    **dict.fromkeys(("milliseconds_1?", "milliseconds_32?"), AMOUNT),
    "test?": {"accuracy": SHARE, "accuracy_lost": Number(-1, 1)},
}
# Of metrics.json: what report, comparison, card and exports use. What came with a later kerastl has a question mark.
RUN = {
    "recipe": _RECIPE,
    "phases": [PHASE],
    "data": {
        "train": COUNT,
        "duplicates?": Names({"found": COUNT, "removed": COUNT}),
        "skipped?": [str],
        "digests?": Names(Maybe(str)),
    },
    "train": {"n": COUNT, "loss": Maybe(float), "accuracy": SHARE},
    "validation?": _SPLIT,
    "test?": _SPLIT,
    "temperature?": Maybe({"value": Maybe(Number(1e-3, 1e3)), "n": COUNT, "interval?": (AMOUNT, AMOUNT), "why?": str}),
    "trust?": _TRUST,
    "plan?": [_PLANNED],
    "exports?": Names(_EXPORTED),
    "warnings?": [str],
    "failed?": Names(str),
    "seconds": AMOUNT,
    "parameters": COUNT,
    "peak_memory_bytes": Maybe(AMOUNT),
    "seed": int,
    "versions": Names(Maybe(str)),
    "machine": {"system": str, "processor": Maybe(str), "devices": [str]},
    "git_revision": Maybe(str),
    "trained_on?": str,
}


def misfit(metrics):
    """What does not go together in metrics.json; None where all does."""
    if not metrics["phases"]:
        return "phases: found none; expected one or more"
    names = [phase["name"] for phase in metrics["phases"]]
    if len(set(names)) != len(names):
        return "phases: found two of one name; expected names that differ"
    if not any(phase["epochs"] for phase in metrics["phases"]):
        return "phases: found no epoch in any; expected one or more"
    for place, phase in enumerate(metrics["phases"]):
        if (phase["best_epoch"] or 0) > phase["epochs"]:
            return f"phases.{place}.best_epoch: found {phase['best_epoch']}; expected at most {phase['epochs']}, its epochs"
    for split in ("validation", "test"):
        if split in metrics and (told := _misfit_of_split(metrics[split])):
            return f"{split}.{told}"
    if "plan" in metrics:
        groups = [[group["name"] for group in it["groups"]] for it in metrics["plan"]]
        if [it["name"] for it in metrics["plan"]] != names or not groups[0] or any(it != groups[0] for it in groups):
            return "plan: its phases or their groups are not those of the run; expected the same phases, and groups in each"
        if not any(group["layers_trained"] for it in metrics["plan"] for group in it["groups"]):
            return "plan: no group has a layer that learns; expected one or more"
    temperature = metrics.get("temperature")
    if temperature and temperature["value"] and "interval" not in temperature:
        return "temperature.interval: is missing; expected the interval of its value"
    if temperature and not temperature["value"] and "why" not in temperature:
        return "temperature.why: is missing; expected why there is no value"
    return None


def _misfit_of_split(scores):
    for name, table in (("", scores), ("by_superclass.", scores.get("by_superclass"))):
        if not table:
            continue
        if not table["per_class"]:
            return f"{name}per_class: found no class; expected one or more"
        if told := _misfit_of_confusion(table["confusion"], len(table["per_class"])):
            return f"{name}confusion{told}"
    found = scores.get("calibration")
    for table in filter(None, (found, found and found.get("tempered"))):
        if not any(it["n"] for it in table["bins"]):
            return "calibration.bins: found no answer in any; expected some"
        if any(it["n"] and None in (it["confidence"], it["accuracy"]) for it in table["bins"]):
            return "calibration.bins: found a bin with answers and no accuracy; expected both"
    rows = scores.get("coverage")
    if rows is not None and (not any(row["n"] for row in rows) or any(_halves(row) for row in rows)):
        return "coverage: found no answers, or rows without their accuracy; expected a row for each threshold"
    return None


def _halves(row):
    return len({row["n"] == 0, row["accuracy"] is None, row["interval"] is None}) > 1


def _misfit_of_confusion(confusion, classes):
    """What is wrong with a confusion matrix, sparse or, of an earlier kerastl, dense."""
    if isinstance(confusion, list):
        told = problem(confusion, [[COUNT]])
        square = len(confusion) == classes and all(len(row) == classes for row in confusion if isinstance(row, list))
        return f".{told}" if told else None if square else f": is no table of {classes:,} by {classes:,}; expected one"
    if told := problem(confusion, _CELLS):
        return f".{told}"
    if confusion["size"] != classes:
        return f".size: found {confusion['size']:,}; expected {classes:,}, the number of classes"
    cells = cells_of(confusion)
    if len(cells) and not (cells[:, :2].max() < classes and len(np.unique(cells[:, :2], axis=0)) == len(cells)):
        return ".cells: names a class that there is not, or a cell twice; expected each cell once"
    return None


def cells_of(confusion):
    """The counts of a confusion matrix, of whatever kerastl wrote them.

    Args:
        confusion: {"size": classes, "cells": [[true, answered, count], ...]} of the cells that are not 0; or a list of rows,
            as earlier versions had it.

    Returns:
        Int array of shape (cells, 3), in the order of the cells.
    """
    if isinstance(confusion, dict):
        return np.array(confusion["cells"], np.int64).reshape(-1, 3)
    counts = np.array(confusion, np.int64)
    places = np.argwhere(counts)
    return np.concatenate([places, counts[tuple(places.T)][:, None]], axis=1)
