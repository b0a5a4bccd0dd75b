"""report.html: what whoever gets a run folder opens first, from what stands in the folder."""

import shlex
from pathlib import Path

import numpy as np

from kerastl.data.load import load
from kerastl.errors import KerastlError, UserError
from kerastl.evaluate import figures, pictures
from kerastl.evaluate.page import number, render
from kerastl.evaluate.statistics import accuracy_interval
from kerastl.files import refuse_links
from kerastl.model.untrusted import load_untrusted
from kerastl.recipe import recipe
from kerastl.run_files import broken
from kerastl.run_folder import METRICS, check_model, read_metrics, read_plan, read_predictions, read_run_history
from kerastl.run_metrics import cells_of
from kerastl.shapes import Maybe, problem

PAGE = "report.html"
WHOLE = 20  # classes up to which every cell of the confusion matrix is shown
MISTAKE = 0.75  # of full colour, for the largest share of a class that is taken for another
WORST = 15  # rows of what may be thousands
# What a network begins with, in words, and the name of a file.
STARTS = {
    "imagenet": ("pretrained on ImageNet", ""),
    "none": ("with random weights", ""),
    "glyphs": ("pretrained on drawn letters", ""),
}


def report(run, data=None, model=None):
    """Write the report of a finished run: one file with everything inside, for people.

    What the folder no longer allows for, as the pictures where the data has gone, is left out, and the page says why. A page that
    has pictures is not replaced by one that lacks them.

    Args:
        run: its folder.
        data: its `Data`, where that is in memory; otherwise the recipe is asked for it.
        model: its `keras.Model`, likewise.

    Returns:
        The path of report.html.

    Raises:
        UserError: no finished run there, or the page that stands there has pictures that cannot be shown again.

    Example:
        >>> report("runs/first")  # doctest: +SKIP
        PosixPath('runs/first/report.html')
    """
    folder = Path(run)
    refuse_links(folder)
    metrics, spec = read_metrics(folder), recipe(folder / "recipe.toml")
    baseline = folder / "baseline"
    rows = read_run_history(folder, metrics)
    _check_plan(folder, metrics, spec)
    shown, missing = _pictures(folder, metrics, spec, data, model)
    if missing and data is None and "test" in metrics:
        _keep_better(folder / PAGE, missing)
    render(
        "report.html",
        folder / PAGE,
        title=spec.name,
        m=metrics,
        n=lambda key, form="decimals": number(_number(folder, metrics, key), form, key),
        spec=spec,
        start=STARTS.get(spec.model.weights, ("with the weights of", Path(spec.model.weights).name)),
        plan_text=read_plan(folder),
        figures=_figures(metrics, rows, spec),
        classes=_classes(metrics.get("test")),
        confusion=_confusion(metrics.get("test"), "test.confusion", _names(metrics.get("test"))),
        coarse=_coarse(metrics.get("test")),
        shown=shown,
        missing=missing,
        WHOLE=WHOLE,
        WORST=WORST,
        changed=pictures.augmented(spec.augment),
        command=_command(spec),
        baseline=read_metrics(baseline) if (baseline / "metrics.json").is_file() else None,
    )
    return folder / PAGE


def _keep_better(page, missing):
    """Refuse to write a page without pictures over one that has them."""
    if page.is_file() and b"<img" in page.read_bytes():
        raise UserError(
            f"{page}: kept as it is, as it has pictures that cannot be shown again. {' '.join(missing)} Put back what is missing, or "
            "delete the page to have one without them"
        )


def look_up(table, key):
    """What stands under a dotted key; # is how many there are.

    Example:
        >>> look_up({"phases": [{"epochs": 4}]}, "phases.0.epochs"), look_up({"phases": [{"epochs": 4}]}, "phases.#")
        (4, 1)
    """
    for step in key.split("."):
        table = len(table) if step == "#" else table[int(step) if isinstance(table, list) else step]
    return table


def _number(folder, metrics, key):
    """A number of the page, or None, from the metrics.json of what may be a stranger's run."""
    try:
        value = look_up(metrics, key)
    except (KeyError, IndexError):
        raise broken(folder / METRICS, f"{key}: is missing; expected a number") from None
    if told := problem(value, Maybe(float), key):
        raise broken(folder / METRICS, told)
    return value


def _check_plan(folder, metrics, spec):
    """Refuse a recipe of other phases than those of the run."""
    ours, theirs = ([it.name for it in spec.phases], [it["name"] for it in metrics["phases"]])
    if ours != theirs:
        told = f"its phases are {', '.join(ours)}; expected those of {METRICS}: {', '.join(theirs)}"
        raise broken(folder / "recipe.toml", told)


def _figures(metrics, rows, spec):
    """Curves, and of the test split what its calibration says."""
    kept = {phase["name"]: phase["best_epoch"] for phase in metrics["phases"]}
    drawn = {quantity: figures.draw_quantity(rows, quantity, kept) for quantity in ("accuracy", "loss")}
    if "plan" in metrics:
        drawn["rates"] = figures.draw_rates(rows, metrics["plan"], spec.phases)
    test = metrics.get("test", {})
    if "calibration" in test:
        tempered = test["calibration"].get("tempered")
        drawn["reliability"] = figures.draw_reliability(test["calibration"]["bins"], tempered and tempered["bins"])
    if "coverage" in test:
        drawn["coverage"] = figures.draw_coverage(test["coverage"])
    return drawn


def _names(scores):
    return [it["name"] for it in scores["per_class"]] if scores else []


def _classes(scores):
    """Classes from the least recognised to the most, each with the interval of its recall."""
    return _sorted_with_intervals(scores["per_class"], "recall") if scores else []


def _coarse(scores):
    """By coarser classes, where there are any: bars and their own confusion."""
    if not scores or "by_superclass" not in scores:
        return None
    found = scores["by_superclass"]
    confusion = _confusion(found, "test.by_superclass.confusion", _names(found))
    return {"classes": _sorted_with_intervals(found["per_class"], "accuracy"), "confusion": confusion}


def _sorted_with_intervals(classes, share):
    """Classes by a share of their images, the lowest first, each with its place in metrics.json and the interval of the share."""
    rows = []
    for place, it in enumerate(classes):
        low, high = accuracy_interval(round(it[share] * it["n"]), it["n"]) if it["n"] else (0.0, 1.0)
        rows.append({"place": place, "low": low, "high": high, **it})
    return sorted(rows, key=lambda row: (row[share], row["name"]))


def _confusion(scores, key, names):
    """Every cell, where the classes are few; the pairs mistaken most often."""
    if not scores:
        return None
    cells, size = cells_of(scores["confusion"]), len(names)
    places = [f"{key}.cells.{place}.2" for place in range(len(cells))]
    if isinstance(scores["confusion"], list):  # of an earlier kerastl: rows of counts
        places = [f"{key}.{i}.{j}" for i, j, _ in cells.tolist()]
    wrong = np.flatnonzero(cells[:, 0] != cells[:, 1])
    worst = wrong[np.argsort(-cells[wrong, 2], kind="stable")][:WORST].tolist()
    return {
        "names": names,
        "cells": _heat(cells, places, size) if size <= WHOLE else None,
        "worst": [
            {"truth": names[i], "answer": names[j], "n": n, "key": places[place]}
            for place, (i, j, n) in zip(worst, cells[worst].tolist(), strict=True)
        ],
    }


def _heat(cells, places, size):
    """Every cell of a confusion matrix of few classes: its count, how dark it is, and where the count stands; a 0 stands nowhere."""
    counts = np.zeros((size, size), np.int64)
    counts[cells[:, 0], cells[:, 1]] = cells[:, 2]
    right = np.eye(size, dtype=bool)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    heat = np.where(right, shares, MISTAKE / shares[~right].max(initial=1e-9) * shares)
    named = dict(zip(map(tuple, cells[:, :2].tolist()), places, strict=True))
    return [
        [{"n": int(counts[i, j]), "heat": float(heat[i, j]), "key": named.get((i, j))} for j in range(size)]
        for i in range(size)
    ]


def _pictures(folder, metrics, spec, data, model):
    """What can be shown, by section; and a sentence for each reason why something cannot."""
    if "test" not in metrics:
        return {}, ["No pictures: the test split was not scored."]
    try:
        data = data or load(spec.data, spec.model.image_size, spec.seed)
        probabilities, _ = read_predictions(folder, "test", metrics)
    except (KerastlError, OSError) as error:
        return {}, [f"No pictures: {_why(error)}"]
    classes = [row["name"] for row in metrics["test"]["per_class"]]
    if metrics["data"].get("digests") != data.digests or classes != list(data.class_names):
        return {}, ["No pictures: the data that is there now is not the data this run was made with."]
    names = data.class_names
    if probabilities.shape != (len(data.test), len(names)):
        raise broken(
            folder / METRICS, f"tells of answers of the shape {probabilities.shape}, and the data is of another"
        )
    shown = {
        "grid": pictures.true_and_false(data.test, probabilities, names, spec.seed),
        "mistakes": pictures.answered(
            data.test, probabilities, names, pictures.surest_mistakes(data.test.labels, probabilities)
        ),
        "seen": pictures.as_the_network_sees_them(data, spec),
    }
    if trust := metrics.get("trust"):
        shown["copies"] = pictures.copies(data, trust["test"]["pairs"] if "test" in trust else [])
        shown["doubted"] = pictures.doubted(data, trust["suspects"]["shown"])
    try:
        model = model or load_untrusted(folder / "model.keras")
        check_model(folder / "model.keras", model, data)
        looks = pictures.looked_at(model, data.test, probabilities, names, spec.seed)
    except (KerastlError, OSError) as error:
        return shown, [f"No Grad-CAM: {_why(error)}"]
    return shown | {"looks": looks}, []


def _why(error):
    return f"{error.filename}: {error.strerror}." if isinstance(error, OSError) else f"{error}."


def _command(spec):
    """What repeats the run, in its folder."""
    where = f" --data-dir {shlex.quote(spec.data.dir)}" if spec.data.dir else ""
    return f"kerastl train recipe.toml{where}"
