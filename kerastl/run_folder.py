"""The one reader of run folders, which may be a stranger's: what is not as kerastl writes it is a `BrokenRun`, never a raw error.

Each function reads one file of the folder, and gives what the tables here and in `kerastl.run_metrics` ask for.
"""

import csv
import io
import itertools
import math
import os
from pathlib import Path

import numpy as np

from kerastl.errors import BrokenRun, UserError, shortened
from kerastl.run_files import MOST_DENSE, broken, read_arrays, read_json, read_text
from kerastl.run_metrics import MOST_EPOCHS, RUN, misfit
from kerastl.shapes import Maybe, Number

METRICS, HISTORY, LABELS, SEEDS, PLAN = "metrics.json", "history.csv", "labels.json", "seeds.json", "plan.txt"
MOST_COLUMNS = 1_000  # of history.csv: what is known of an epoch
HIGHEST = 1e30  # of what is drawn: matplotlib's scales end somewhere
OF_LABELS = {"classes": [str], "superclasses?": Maybe([str]), "temperature?": Number(1e-3, 1e3)}
OF_SEEDS = {"recipe?": str, "seeds": [int], "runs": [str]}


def read_metrics(folder):
    """The metrics.json of a finished run.

    Args:
        folder: of the run.

    Returns:
        A dict; every key of `kerastl.run_metrics.RUN` that is there is what it should be.

    Raises:
        BrokenRun: there is none, or it is not what kerastl writes.
    """
    path = Path(folder) / METRICS
    if not path.is_file():
        raise BrokenRun(
            f"{folder}: no finished run, as it has no {METRICS}; expected the folder that kerastl train wrote"
        )
    metrics = read_json(path, RUN)
    if told := misfit(metrics):
        raise broken(path, told)
    return metrics


def read_labels(folder, classes=None):
    """The labels.json of a run or of exports.

    Args:
        folder: with the file.
        classes: how many there have to be; None for any number.

    Returns:
        A dict: classes, and where there are any, superclasses and temperature.
    """
    path = Path(folder) / LABELS
    labels = read_json(path, OF_LABELS)
    names, coarse = labels["classes"], labels.get("superclasses")
    if len(set(names)) != len(names):
        raise broken(path, "classes: names one class twice; expected names that differ")
    if classes is not None and len(names) != classes:
        raise broken(path, f"classes: names {len(names):,} classes; expected {classes:,}, as the model has")
    if coarse is not None and len(coarse) != len(names):
        raise broken(path, f"superclasses: found {len(coarse):,}; expected one for each of the {len(names):,} classes")
    return labels


def read_seeds(folder):
    """The seeds.json of a folder of several seeds: seeds, and the names of their run folders, which stand in it."""
    path = Path(folder) / SEEDS
    table = read_json(path, OF_SEEDS)
    names = table["runs"]
    for place, name in enumerate(names):
        if not name or name != Path(name).name or name == ".." or "\0" in name:
            raise broken(path, f"runs.{place}: found {name[:60]!r}; expected the name of a folder beside seeds.json")
    if not names or len(set(names)) != len(names) or len(names) != len(table["seeds"]):
        raise broken(path, f"found {len(names)} runs of {len(table['seeds'])} seeds; expected one or more, each once")
    return table


def read_plan(folder):
    """The plan.txt of a run, as text; empty where there is none."""
    path = Path(folder) / PLAN
    return read_text(path) if os.path.lexists(path) else ""


def read_history(path):
    """The rows of a history.csv.

    Args:
        path: of the file.

    Returns:
        A list of dicts; numbers as numbers, empty fields as None, what is not finite as NaN.

    Raises:
        BrokenRun: there is none, or it is not what kerastl writes.
    """
    rows = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        names = next(rows, [])
        if missing := [name for name in ("phase", "epoch", "loss", "accuracy") if name not in names]:
            raise broken(path, f"found no column {missing[0]}; expected the columns phase, epoch, loss and accuracy")
        if len(names) > MOST_COLUMNS or len(set(names)) != len(names):
            raise broken(path, f"found {len(names)} columns; expected at most {MOST_COLUMNS:,}, each once")
        found = []
        for row in rows:
            if row:
                found.append(_numbers(path, rows.line_num, names, row))
            if len(found) > MOST_EPOCHS:
                raise broken(path, f"found more than {MOST_EPOCHS:,} epochs; expected fewer")
    except csv.Error as error:
        raise broken(path, f"line {rows.line_num}: {error}; expected comma-separated values") from None
    if not found:
        raise broken(path, "found no epoch; expected a line for each")
    return found


def read_run_history(folder, metrics):
    """The rows of a run's history.csv, which are those of the phases that its metrics.json tells of."""
    path = Path(folder) / HISTORY
    rows = read_history(path)
    found = [(name, len(list(some))) for name, some in itertools.groupby(row["phase"] for row in rows)]
    phases = [(phase["name"], phase["epochs"]) for phase in metrics["phases"] if phase["epochs"]]
    if found != phases:
        there, told = (", ".join(f"{n} of {name[:40]}" for name, n in it[:10]) for it in (found, phases))
        raise broken(path, f"found the epochs {there}; expected those of {METRICS}: {told}")
    return rows


def read_predictions(folder, split, metrics):
    """What a run answered on a split.

    Args:
        folder: of the run.
        split: "test" or "validation".
        metrics: what `read_metrics` gave; the split was scored.

    Returns:
        Probabilities, float array of shape (n, classes), and labels, int array of shape (n,).
    """
    path, scores = Path(folder) / f"predictions_{split}.npz", metrics[split]
    n, classes = scores["n"], len(scores["per_class"])
    arrays = read_arrays(path, {"probabilities": (n, classes), "labels": (n,)}, MOST_DENSE)
    probabilities, labels = arrays["probabilities"], arrays["labels"]
    if probabilities.dtype.kind != "f" or not np.isfinite(probabilities).all():
        raise broken(path, "its probabilities are not all numbers; expected finite ones")
    if labels.dtype.kind not in "iu" or (n and not (labels.min() >= 0 and labels.max() < classes)):
        raise broken(path, f"its labels are not all classes; expected whole numbers from 0 to {classes - 1}")
    return probabilities, labels.astype(np.int64)


def check_model(path, model, data):
    """Refuse a model that takes other images than the data of its run has, or tells other classes apart.

    Args:
        path: of its file.
        model: a `keras.Model`.
        data: the run's `Data`.
    """
    shapes = [list(it.shape) for it in (*model.inputs, *model.outputs)]
    wanted = [[None, *data.shape], [None, len(data.class_names)]]
    if shapes != wanted:
        told = f"its model goes from {shapes[0]} to {shapes[-1]}; expected {wanted[0]} to {wanted[1]}, as the data of the run has it"
        raise broken(path, told)


def check_classes(folder, data):
    """Refuse data whose classes are no longer those the model of a run answers with: it knows them by their places alone.

    A folder without a labels.json does not tell what they were.

    Args:
        folder: of the run.
        data: what its recipe gives today.

    Raises:
        UserError: classes were added, removed, renamed or put in another order; they are named.
    """
    path = Path(folder) / LABELS
    if not os.path.lexists(path):
        return
    before, now = read_labels(folder)["classes"], list(data.class_names)
    if before == now:
        return
    changes = {
        "new": [name for name in now if name not in set(before)],
        "no longer there": [name for name in before if name not in set(now)],
    }
    told = "; ".join(f"{what}: {', '.join(shortened(names))}" for what, names in changes.items() if names)
    raise UserError(
        f"{path}: the classes of the data are not those the run was trained on: {told or 'the same, in another order'}; "
        "expected the same: name the folders as they were, or train again"
    )


def changed_splits(metrics, data):
    """The splits whose images or labels are not those of the run.

    Args:
        metrics: what `read_metrics` gave.
        data: what the recipe of the run gives today.

    Returns:
        A list of names; empty where the run does not tell, as those of an earlier kerastl.
    """
    before = metrics["data"].get("digests", data.digests)
    return [name for name, digest in data.digests.items() if before.get(name) != digest]


def _numbers(path, line, names, row):
    """A row of history.csv."""
    if len(row) != len(names):
        raise broken(path, f"line {line}: found {len(row)} cells; expected {len(names)}, one for each column")
    found = dict(zip(names, row, strict=True))
    for name, text in found.items():
        if name != "phase":
            try:
                value = float(text) if text else None
            except ValueError:
                raise broken(path, f"line {line}: {name}: found {text[:60]!r}; expected a number") from None
            if value is not None and not abs(value) <= HIGHEST:
                if math.isfinite(value):
                    raise broken(path, f"line {line}: {name}: found {value:g}; expected a number of an epoch")
                value = math.nan
            found[name] = value
    return found
