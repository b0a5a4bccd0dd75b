"""Runs side by side: one table, one figure, from what the run folders hold."""

import json
from pathlib import Path

from kerastl.errors import UserError
from kerastl.evaluate.metrics import shown
from kerastl.evaluate.plots import draw_overlaid
from kerastl.train.history import read_history

COLUMNS = (
    "run",
    "backbone",
    "strategy",
    "train images",
    "train accuracy",
    "validation accuracy",
    "test accuracy [95% interval]",
    "test loss",
    "top-5",
    "seconds",
    "parameters",
)


def compare(runs, figure):
    """Set finished runs side by side.

    Args:
        runs: run folders, two or more.
        figure: path of the PNG with their validation curves.

    Returns:
        A list of rows (dicts with the keys `COLUMNS`), in the order given.

    Raises:
        UserError: a folder that holds no finished run.
    """
    folders = {_label(run, runs): Path(run) for run in runs}
    rows = [_row(name, read_metrics(folder)) for name, folder in folders.items()]
    draw_overlaid({name: read_history(folder / "history.csv") for name, folder in folders.items()}, figure)
    return rows


def read_metrics(folder):
    """The metrics.json of a run folder.

    Raises:
        UserError: there is none, or it is not JSON.
    """
    path = Path(folder) / "metrics.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(
            f"{folder}: no finished run ({error}); expected the folder of a run, with metrics.json in it"
        ) from None


def _label(run, runs):
    name = Path(run).name
    return name if [Path(other).name for other in runs].count(name) == 1 else str(run)


def _row(name, metrics):
    recipe, test, validation = metrics["recipe"], metrics.get("test"), metrics.get("validation")
    values = (
        name,
        recipe["model"]["backbone"],
        recipe.get("strategy") or "own phases",
        f"{metrics['data']['train']:,}",
        f"{metrics['train']['accuracy']:.4f}",
        f"{validation['accuracy']:.4f}" if validation else "",
        shown(test) if test else "not scored",
        f"{test['loss']:.4f}" if test else "",
        f"{test['top5']:.4f}" if test and test["top5"] is not None else "",
        f"{metrics['seconds']:.0f}",
        f"{metrics['parameters']:,}",
    )
    return dict(zip(COLUMNS, values, strict=True))
