"""Runs that are killed (SIGKILL) and resumed: how many end as the one that was left alone, to the bit.

    python benchmarks/kills.py [KILLS] [SEED]

A third of the kills come at a random moment; a third at a random write: as a file is forced to the disk, takes its place or is
deleted, which a random moment seldom hits; a third within a part after the last epoch: judging, export, report, the deletion of the
state. One run in three is killed a second time on its way. Compared are the weights, the history, the metrics (but for times and
memory), the predictions, the exports and that there is a report. Each run has a feature cache of its own; the small network has
three phases with cached views, dropout, moving averages, early stopping and rates by group.
"""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kerastl.run
from kerastl import recipe
from kerastl.circumstances import timeless
from kerastl.run import train  # imported, not started: every run is a fork of this process
from kerastl.train.history import read_history

PHASES = [
    {
        "name": "head",
        "trainable": "head",
        "epochs": 4,
        "optimizer": {"learning_rate": 1e-2},
        "early_stopping": {"patience": 2},
    },
    {
        "name": "upper",
        "trainable": ["stage3", "stage4", "head"],
        "epochs": 3,
        "keep_best": True,
        "optimizer": {"name": "adamw", "ema": 0.9, "learning_rate": {"stage3": 1e-4, "stage4": 1e-3, "head": 1e-2}},
        "schedule": {"name": "one-cycle"},
    },
    {
        "name": "all",
        "trainable": "all",
        "epochs": 2,
        "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 1e-3},
    },
]
SETTINGS = {
    "baseline": None,
    "data.limit": 300,
    "data.repeat": 1,
    "data.validation": 0.2,
    "model.backbone": "SmallCNN",
    "model.weights": "none",
    "model.image_size": 32,
    "model.options": {},
    "model.head.dropout": 0.2,
    "augment.flip": "horizontal",
    "train.views": 2,
    "train.batch_size": 16,
    "train.epochs_scale": 1.0,
    "train.deterministic": True,
    "train.checkpoint_minutes": 0.002,
    "phases": PHASES,
    "evaluate.report": True,
}


# The parts after the last epoch, as functions that `kerastl.run` calls, and how many writes they may have.
PARTS = {
    "judging": ("judge_splits", 6),
    "export": ("export_in_place", 60),
    "report": ("report", 4),
    "deletion of the state": ("forget", 12),
}


def begin(folder, deadly_write=None, part=None):
    """Start, or go on with, the run in a folder, in a process of its own; gives its number.

    Args:
        folder: of the run.
        deadly_write: the number of the write at which the process kills itself; None: it does not.
        part: a name in `PARTS`, from whose beginning on the writes are counted; None: from the beginning of the run.
    """
    child = os.fork()
    if child:
        return child
    os.setsid()
    silence = os.open(folder.parent / f"{folder.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(silence, 1), os.dup2(silence, 2)
    os.environ["KERAS_HOME"] = str(folder.parent / f"{folder.name}.home")
    if part:
        name, _ = PARTS[part]
        function = getattr(kerastl.run, name)

        def counted(*arguments, **keywords):
            die_at(deadly_write)
            return function(*arguments, **keywords)

        setattr(kerastl.run, name, counted)
    elif deadly_write is not None:
        die_at(deadly_write)
    try:
        train(
            recipe("quickstart", **SETTINGS, **{"export.folder": str(folder.parent / f"{folder.name}.exports")}),
            folder,
            resume=True,
        )
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def die_at(number):
    """Let this process kill itself at the n-th write: before a file is forced to the disk, takes its place or is deleted, or after."""
    left = [number]

    def deadly(function):
        def call(*arguments, **keywords):
            for act in (lambda: None, lambda: function(*arguments, **keywords)):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = act()
            return result

        return call

    for name in ("fsync", "replace", "rename", "unlink", "rmdir"):
        setattr(os, name, deadly(getattr(os, name)))


def ended(child):
    """Wait for a process; whether it ended by itself and well."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def result(folder):
    """What a run gave, without what no two runs share."""

    metrics = timeless(json.loads((folder / "metrics.json").read_text()))
    del metrics["recipe"]["export"]  # its folder is this run's own
    exports = {name: it["max_difference"] for name, it in metrics.pop("exports").items()}
    rows = [timeless(row) for row in read_history(folder / "history.csv")]
    with np.load(folder / "predictions_test.npz") as saved:
        predictions = saved["probabilities"].tobytes()
    import h5py

    weights = {}
    with h5py.File(folder.parent / f"{folder.name}.exports" / "quickstart" / "model.h5") as file:
        file["model_weights"].visititems(
            lambda name, it: weights.update({name: it[()].tobytes()}) if isinstance(it, h5py.Dataset) else None
        )
    if not (folder / "report.html").is_file():
        rows.append("no report")
    leftovers = [str(path) for path in folder.rglob(".*")] + [str(path) for path in folder.glob("state")]
    return {
        "metrics": metrics,
        "history": rows,
        "predictions": predictions,
        "weights": weights,
        "exports": exports,
        "leftovers": leftovers,
    }


def main(kills, seed):
    home, draw = Path(tempfile.mkdtemp()), random.Random(seed)
    began = time.perf_counter()
    assert ended(begin(home / "reference")), (home / "reference.log").read_text()
    seconds, reference = time.perf_counter() - began, result(home / "reference")
    print(f"left alone: {seconds:.0f} s, test accuracy {reference['metrics']['test']['accuracy']:.4f}", flush=True)
    killed = survived = number = 0
    while killed < kills:
        number += 1
        run, times, kinds = home / f"{number:03d}", draw.choice([1, 1, 2]), []
        for _ in range(times):
            how = draw.choice(["time", "write", "part"])
            part = draw.choice(list(PARTS)) if how == "part" else None
            write = {
                "time": None,
                "write": draw.randint(1, 300),
                "part": draw.randint(1, PARTS[part][1]) if part else None,
            }[how]
            child = begin(run, write, part)
            if how == "time":
                moment = draw.uniform(0.2, seconds)
                time.sleep(moment)
                os.kill(child, signal.SIGKILL)
            died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            told = {
                "time": f"at {moment:.1f} s" if how == "time" else "",
                "write": "at a write",
                "part": f"in the {part}",
            }[how]
            kinds += [told] if died else []
        if not kinds:
            shutil.rmtree(run, ignore_errors=True)
            continue
        well = ended(begin(run))
        gave = result(run) if well else {}
        different = [name for name in reference if gave.get(name) != reference[name]]
        killed, survived = killed + len(kinds), survived + (len(kinds) if not different else 0)
        told = "the same bits" if not different else f"DIFFERS in {', '.join(different)}, see {run}.log"
        print(f"{killed:3} killed {' and '.join(kinds)}: {told}", flush=True)
        if not different:
            for path in home.glob(f"{run.name}*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"{survived} of {killed} kills survived, to the bit", flush=True)


if __name__ == "__main__":
    main(*(int(it) for it in (*sys.argv[1:], *("50", "0")[len(sys.argv) - 1 :])))
