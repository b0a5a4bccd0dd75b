"""Sweeps: the same recipe with other values, chosen on validation images, scored on test images once.

settings -> a study that all processes share (study.py) -> a run folder each -> the best, trained again on everything
"""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from kerastl import strict
from kerastl.database import looked_through, open_storage
from kerastl.errors import KerastlError, UserError
from kerastl.evaluate.plots import draw_sweep
from kerastl.evaluate.verdict import headline
from kerastl.files import disk_told, locked, refuse_links, write_json
from kerastl.identity import IDENTITY, new_identity, relocated
from kerastl.recipe import Recipe, as_begun, override, recipe
from kerastl.resume import finished
from kerastl.run import Run, train
from kerastl.run_files import read_json
from kerastl.shapes import AMOUNT, COUNT, SHARE, Maybe, Names
from kerastl.space import Range, make_space
from kerastl.study import Pruned, State, counted, join, refuse_another, report, why_failed, work
from kerastl.train.history import write_csv
from kerastl.train.state import forget
from kerastl.voice import speaking, tell

ABOUT, TABLE, FIGURE = "sweep.json", "sweep.csv", "sweep.png"
LONGEST = 60  # letters of a folder's name that tell what was tried in it
WAIT = 60  # seconds for another process that begins the same sweep
STATES = {State.COMPLETE: "complete", State.PRUNED: "pruned", State.FAIL: "failed"}
JUDGED = ("val_accuracy", "val_low", "val_high", "val_loss", "epochs", "seconds", "run", "why")


# What is known of a setting that was trained to its end.
KNOWN = {
    **dict.fromkeys(("val_accuracy", "val_low", "val_high"), SHARE),
    **dict.fromkeys(("val_loss", "seconds"), AMOUNT),
    "epochs": COUNT,
    "run": str,
    "phases": [{"epochs": COUNT, "best_epoch": Maybe(COUNT)}],
}


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Args:
        rows: a dict for each setting: the swept values, its state (complete, pruned or failed), validation accuracy, its
            interval, loss, epochs, seconds, run folder, and why it failed.
        winner: the row with the highest validation accuracy; of equal ones, the first.
        test: how the winner, trained again on train + validation, answers on the test split, and where its run is.
        final: the `Run` of that; None where its folder is on another machine.
    """

    rows: tuple[dict, ...]
    winner: dict
    test: dict
    final: Run | None


def sweep(spec, over, out, *, search=None, trials=None, storage=None, progress=None):
    """Train a recipe with other values; score only the best on the test split.

    Called again with the same arguments it goes on where it was, and repeats nothing. Processes that are given the same folder,
    or the same storage, share the work: a setting is trained by one of them, and by another one should that die.

    Args:
        spec: a `Recipe`, the name of one, or the path of a TOML file.
        over: a dict from dotted key to the values to try; every combination is trained to its end.
        out: folder of the sweep: a run folder for each setting, `winner`, `sweep.csv`, `sweep.png`.
        search: instead of `over`, a dict from dotted key to "LOW..HIGH", "LOW..HIGH:log" or values. Settings are drawn by a
            tree-structured Parzen estimator (Bergstra et al. 2011), and those below the median of the others are pruned.
        trials: how many settings a search draws (30).
        storage: URL of the database that holds the trials; SQLite's, in the folder, when absent.
        progress: how it is told of: bar, lines, json or quiet, as in `speaking`; None: as around the call, which is bar.

    Returns:
        A `Sweep`.

    Raises:
        UserError: nothing to sweep over, values that the recipe does not take, no validation images to choose on, or a folder
            or storage with another sweep.
        KerastlError: no setting was trained to its end.
        Stopped: the process was asked to end.

    Example:
        >>> over = {"phases.0.trainable.last_layers": [1, 3, 6]}
        >>> sweep("cifar100-last-layers", over, "runs/sweep").winner  # doctest: +SKIP
        {'phases.0.trainable.last_layers': 6, 'state': 'complete', 'val_accuracy': 0.604, ...}
    """
    spec, folder = spec if isinstance(spec, Recipe) else recipe(spec), Path(out)
    space, name = make_space(spec, over, search, trials), spec.name or "sweep"
    about = {"recipe": strict.dump(spec), "space": space.about}

    def attempt(trial, place):
        _write(study, space, folder)
        setting = space.setting(trial.params)
        run_folder = folder / f"{place + 1:02d}-{_slug(setting)}"
        judged = _judged(_train(override(spec, **setting), run_folder, trial))
        for key, value in judged.items():
            trial.set_user_attr(key, value)
        tell("trial", setting=setting, **judged)
        return judged["val_accuracy"]

    with speaking(progress), disk_told(folder):
        about = _begin(folder, about)
        spec = as_begun(spec, folder)
        storage = open_storage(storage or f"sqlite:///{folder.resolve() / 'sweep.db'}")
        study = join(storage, name, about, _patience(spec) if search else None)
        trials = looked_through(work(study, space.places, attempt, space, spec.seed), KNOWN)
        rows = _write(study, space, folder)
        best = _best(rows, folder)
        _draw(space, rows, folder / FIGURE)
        winner = override(spec, **space.setting(trials[best].params))
        final = _on_everything(winner, trials[best].user_attrs["phases"])
        done = Sweep(tuple(rows), rows[best], *_score(storage, f"{name} winner", about, final, folder))
        tell("swept", sweep=str(folder), rows=rows, winner=done.winner, test=done.test)
        return done


def _begin(folder, about):
    """Say in the folder what the sweep is about, or see that it is this one."""
    refuse_links(folder)
    with locked(folder, wait=WAIT):
        if (folder / ABOUT).exists():
            before = read_json(folder / ABOUT, {"recipe": Names(object), "space": Names(object)})
            was, now = ({**it, "recipe": relocated(it["recipe"], folder)} for it in (before, about))
            refuse_another(was, now, folder, "name a new folder (--out)")
            return before
        if any(not path.name.startswith(".") for path in folder.iterdir()):
            raise UserError(
                f"{folder}: holds something else already; expected a new folder, or that of a sweep (--out)"
            )
        write_json(folder / IDENTITY, new_identity(folder))
        write_json(folder / ABOUT, about)
        return about


def _patience(spec):
    """Epochs in which no trial is judged: a third of them."""
    return round(sum(phase.epochs or 0 for phase in spec.phases) * spec.train.epochs_scale / 3)


def _train(spec, folder, trial):
    try:
        return train(spec, folder, score_test=False, resume=True, on_epoch=lambda rows: report(trial, rows))
    except Pruned:
        forget(folder)  # nobody goes on with that
        raise


def _judged(run):
    """What is known of a setting once it is trained, as plain values: the folder may be on another machine."""
    validation, phases = run.metrics["validation"], run.metrics["phases"]
    low, high = validation["interval"]
    return {
        "val_accuracy": validation["accuracy"],
        "val_low": low,
        "val_high": high,
        "val_loss": validation["loss"],
        "epochs": sum(phase["epochs"] for phase in phases),
        "seconds": run.metrics["seconds"],
        "run": str(run.folder),
        "phases": [{name: phase[name] for name in ("epochs", "best_epoch")} for phase in phases],
    }


def _write(study, space, folder):
    """The table of what has ended, in the order of the places; written, and given back."""
    ended = {place: it for place, it in sorted(counted(study).items()) if it.state in STATES}
    rows = [_row(space, place, it, why_failed(study, it)) for place, it in ended.items()]
    write_csv(folder / TABLE, rows, [*space.keys, "state", *JUDGED])
    return rows


def _row(space, place, trial, why):
    setting = space.setting(trial.params or space.places[place])
    known = {"epochs": trial.last_step, **trial.user_attrs, "val_accuracy": trial.value, "why": why}
    found = {**dict.fromkeys(space.keys), **setting, "state": STATES[trial.state]}
    return found | {name: known.get(name) for name in JUDGED}


def _best(rows, folder):
    """The place of the best setting."""
    places = [place for place, row in enumerate(rows) if row["state"] == "complete"]
    if not places:
        told = "; ".join(dict.fromkeys(str(row["why"]) for row in rows))
        raise KerastlError(f"{folder}: no setting was trained to its end: {told}. Try others (--out NEW)")
    return max(places, key=lambda place: rows[place]["val_accuracy"])


def _draw(space, rows, path):
    complete = [row for row in rows if row["state"] == "complete"]
    scales = {key: "log" if it.log else "linear" for key, it in space.keys.items() if isinstance(it, Range)}
    complete.sort(key=lambda row: [row[key] for key in scales])  # a line goes from left to right
    columns = {key: [row[key] for row in complete] for key in space.keys}
    intervals = [(row["val_low"], row["val_high"]) for row in complete]
    draw_sweep(columns, [row["val_accuracy"] for row in complete], intervals, scales, path)


def _score(storage, name, about, spec, folder):
    """The winner trained again on everything and scored on test, by one process of all: its score, and its `Run`.

    Nobody else has the run where that process has another disk.
    """
    study, made = join(storage, name, about), []

    def attempt(trial, place):
        made.append(train(spec, folder / "winner", resume=True))
        trial.set_user_attr("test", headline(made[0].metrics)["test"])
        trial.set_user_attr("run", f"{socket.gethostname()}:{made[0].folder}")
        return made[0].metrics["test"]["accuracy"]

    [trial] = looked_through(work(study, ({},), attempt), {"run": str, "test": Names(object)})
    if trial.state is State.FAIL:
        raise KerastlError(f"{folder / 'winner'}: the winner could not be trained: {why_failed(study, trial)}")
    if not made and finished(folder / "winner"):
        with locked(folder, wait=WAIT):  # several may want to read it
            made.append(train(spec, folder / "winner", resume=True))
    return {"run": trial.user_attrs["run"], **trial.user_attrs["test"]}, made[0] if made else None


def _on_everything(spec, phases):
    """The recipe without validation: phases that chose their epoch on validation run for that many epochs."""
    fixed = []
    for phase, done in zip(spec.phases, phases, strict=True):
        if done["best_epoch"] == 0:  # it was not better than what was before it
            continue
        table = strict.dump(phase)
        if not phase.solve:
            table |= {"epochs": done["best_epoch"] or done["epochs"], "keep_best": False, "only_if_better": False}
        table.pop("early_stopping", None)
        fixed.append(table)
    return override(spec, **{"phases": fixed, "data.validation": 0.0, "train.epochs_scale": 1.0})


def _slug(setting):
    told = "-".join(f"{key.rpartition('.')[2]}-{value}" for key, value in setting.items())
    return re.sub(r"[^A-Za-z0-9.]+", "-", told).strip("-")[:LONGEST]
