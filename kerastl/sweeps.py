"""Sweeps: the same recipe with other values, chosen on validation images, scored on test images once."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from kerastl import strict
from kerastl.errors import UserError
from kerastl.evaluate.plots import draw_sweep
from kerastl.recipe import Recipe, override, recipe
from kerastl.run import Run, train
from kerastl.train.history import write_csv


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Args:
        rows: a dict for each setting: the swept values, validation accuracy, its interval, loss, seconds, run folder.
        winner: the row with the highest validation accuracy; of equal ones, the first.
        final: the `Run` of the winner, trained again on train + validation, with its test score.
    """

    rows: tuple[dict, ...]
    winner: dict
    final: Run


def sweep(spec, over, out):
    """Train a recipe with every combination of some values; score only the best on the test split.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file.
        over: a dict from dotted key to the values to try.
        out: folder of the sweep: a run folder for each setting, `winner`, `sweep.csv`, and `sweep.png` for a single key.

    Returns:
        A `Sweep`.

    Raises:
        UserError: nothing to sweep over, no validation images to choose on, or a folder that is taken.

    Example:
        >>> over = {"phases.0.trainable.last_layers": [1, 3, 6]}
        >>> sweep("cifar100-last-layers", over, "runs/sweep").winner  # doctest: +SKIP
        {'phases.0.trainable.last_layers': 6, 'val_accuracy': 0.604, ...}
    """
    spec, folder = spec if isinstance(spec, Recipe) else recipe(spec), Path(out)
    if not over or not all(over.values()):
        raise UserError("nothing to sweep over; expected --over KEY=VALUE,VALUE,...")
    if not spec.data.validation:
        raise UserError(
            f"recipe {spec.name}: data.validation is 0; a sweep chooses on validation images, expected a share above 0"
        )
    if (folder / "sweep.csv").exists():
        raise UserError(f"{folder}: holds a sweep already; expected a new folder (--out)")
    settings = [dict(zip(over, values, strict=True)) for values in itertools.product(*over.values())]
    candidates = [override(spec, **setting) for setting in settings]  # all are checked before the first one trains
    rows, runs = [], []
    for number, (setting, candidate) in enumerate(zip(settings, candidates, strict=True), start=1):
        runs.append(train(candidate, folder / f"{number:02d}-{_slug(setting)}", score_test=False))
        rows.append(_row(setting, runs[-1]))
        write_csv(folder / "sweep.csv", rows, list(rows[0]))
    best = max(range(len(rows)), key=lambda place: rows[place]["val_accuracy"])
    if len(over) == 1:
        (key, values), accuracies = next(iter(over.items())), [row["val_accuracy"] for row in rows]
        draw_sweep(values, accuracies, [(row["val_low"], row["val_high"]) for row in rows], key, folder / "sweep.png")
    final = train(_on_everything(candidates[best], runs[best].metrics["phases"]), folder / "winner")
    return Sweep(tuple(rows), rows[best], final)


def _row(setting, run):
    validation = run.metrics["validation"]
    low, high = validation["interval"]
    judged = {"val_accuracy": validation["accuracy"], "val_low": low, "val_high": high, "val_loss": validation["loss"]}
    return {**setting, **judged, "seconds": run.metrics["seconds"], "run": str(run.folder)}


def _on_everything(spec, phases):
    """The recipe without validation: phases that chose their epoch on validation run for that many epochs."""
    fixed = []
    for phase, done in zip(spec.phases, phases, strict=True):
        table = strict.dump(phase) | {"epochs": done["best_epoch"] or done["epochs"], "keep_best": False}
        table.pop("early_stopping", None)
        fixed.append(table)
    return override(spec, **{"phases": fixed, "data.validation": 0.0, "train.epochs_scale": 1.0})


def _slug(setting):
    return re.sub(
        r"[^A-Za-z0-9.]+", "-", "-".join(f"{key.rpartition('.')[2]}-{value}" for key, value in setting.items())
    ).strip("-")
