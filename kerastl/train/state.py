"""Where a run stands, on disk: what it takes to go on from there as if nothing had happened.

    state/run.json      what the run is of: recipe, data, weights it began with, versions
    state/phases.npz    the model as the last finished phase left it, and what the finished phases gave
    state/step.npz      in the middle of a phase: what has moved since it began, and how far it is

Order and augmentation are functions of the seed, the phase and the step, so nothing has to be said of them.
"""

import json
import math
import os
import signal
import time
from pathlib import Path

import keras
import numpy as np

from kerastl.files import own_folder, remove, whole
from kerastl.run_files import broken, parsed, read_arrays
from kerastl.run_metrics import PHASE
from kerastl.shapes import AMOUNT, COUNT, Maybe, Names, Number, problem
from kerastl.stopping import Stopped

FOLDER = Path("state")
PHASES, STEP = FOLDER / "phases.npz", FOLDER / "step.npz"
_ANY = Number(-math.inf, math.inf)
# What callbacks remember between epochs, and what it looks like.
REMEMBERED = {
    "SwapEMAWeights": {"_ema_weights_in_model": bool},
    "EarlyStopping": {"wait": COUNT, "best": Maybe(_ANY), "best_epoch": Maybe(COUNT), "stopped_epoch": Maybe(COUNT)},
    "BestWeights": {"best": Maybe(_ANY), "best_epoch": Maybe(COUNT)},
    "HistoryRows": {"rows": [Names(object)], "training_seconds": AMOUNT, "training_steps": COUNT},
}
OF_PHASES = {"done": [PHASE], "rows": [Names(object)]}
OF_STEP = {"phase": str, "epoch": COUNT, "step": COUNT, "stopped": bool, "seconds": AMOUNT, "callbacks": Names(object)}
ROOM = 8  # times the bytes of the model: an optimizer keeps two or three numbers for each weight
SPARE = 64_000_000  # bytes for all else


def save(path, variables, about):
    """Write variables and a table in one file, whole or not at all.

    Args:
        path: of the .npz.
        variables: a dict from name to Keras variable or array.
        about: a table of plain values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.asarray(variable) for name, variable in variables.items()}
    with whole(path) as temporary:
        np.savez(temporary, about=np.array(json.dumps(about)), **arrays)


def load(path, shape=object, model=None):
    """What `save` wrote: arrays by name, and the table; nothing where there is no file.

    Args:
        path: of the .npz, which may be a stranger's.
        shape: what the table has to hold; see `kerastl.shapes`.
        model: the `keras.Model` it is of, which says how large it may be.

    Raises:
        BrokenRun: the file is damaged, or far larger than a state of the model.
    """
    if not os.path.lexists(path):
        return {}, {}
    weights = 0 if model is None else sum(math.prod(it.shape) * 4 for it in model.variables)
    arrays = read_arrays(path, most=SPARE + ROOM * weights)
    about = arrays.pop("about", None)
    if about is None or about.dtype.kind != "U" or any(it.dtype.kind == "U" for it in arrays.values()):
        raise broken(path, "found no table about it, or texts for arrays; expected what kerastl wrote")
    try:
        text = str(about)
    except ValueError:
        raise broken(path, "its table is no text; expected JSON") from None
    about = parsed(path, text, shape)
    for row in about.get("rows", []):
        _check_row(path, row)
    return arrays, about


def variables_of(layers):
    """All that layers hold, by name: weights, statistics, and how far their random draws are."""
    return {f"{layer.name}/{place}": it for layer in layers for place, it in enumerate(layer.variables)}


def assign(variables, arrays, prefix, path):
    """Give variables the values of the arrays of the same name.

    Raises:
        BrokenRun: an array is missing, has another shape, or holds what is no number.
    """
    for name, variable in variables.items():
        array = arrays.get(prefix + name)
        if array is None:
            raise broken(path, f"has no array {prefix + name}; expected one for each variable of the model")
        shape, floats = tuple(variable.shape), keras.backend.is_float_dtype(variable.dtype)
        if array.shape != shape or (array.dtype.kind == "f") != floats:
            told = f"its array {prefix + name} has the shape {array.shape} of {array.dtype}"
            raise broken(path, f"{told}; expected {shape} of {variable.dtype}")
        if floats and not np.isfinite(array).all():
            raise broken(path, f"its array {prefix + name} holds what is no number; expected finite ones")
        variable.assign(array)


def restart(run_dir):
    """Delete what the phases of an earlier run left."""
    for file in (PHASES, STEP):
        remove(run_dir / file)


def forget(run_dir):
    """Delete the state of a run that has ended: in one move, so that a process killed on the way leaves no half of it."""
    if (run_dir / FOLDER).exists():
        with own_folder(run_dir) as own:
            (run_dir / FOLDER).replace(own / FOLDER.name)


def keep_phases(run_dir, model, done, rows):
    """Keep what the finished phases gave: the model, their summaries and the rows of the history."""
    save(run_dir / PHASES, variables_of(model.layers), {"done": done, "rows": rows})
    remove(run_dir / STEP)


def resume_phases(run_dir, model, plans, columns):
    """Give the model what `keep_phases` kept.

    Args:
        run_dir: folder of the run.
        model: as it was built.
        plans: a `PhasePlan` for each phase.
        columns: of history.csv.

    Returns:
        The summaries of the finished phases, and the rows of the history; empty lists where none is finished.

    Raises:
        BrokenRun: it is damaged, or of other phases.
    """
    path = run_dir / PHASES
    arrays, about = load(path, OF_PHASES, model)
    done, rows = about.get("done", []), about.get("rows", [])
    names = [it.phase.name for it in plans]
    if [it["name"] for it in done] != names[: len(done)]:
        raise broken(
            path, f"its {len(done)} finished phases are not those of the run; expected the first of {', '.join(names)}"
        )
    _check_rows(path, rows, {it["name"]: it["epochs"] for it in done}, columns)
    if arrays:
        assign(variables_of(model.layers), arrays, "", path)
    return done, rows


def _check_row(path, row):
    texts = {key for key, value in row.items() if not (value is None or type(value) in (int, float))}
    if texts != {"phase"} or not isinstance(row["phase"], str):
        raise broken(path, "its rows of the history hold texts for numbers, or no phase; expected what kerastl wrote")


def _check_rows(path, rows, epochs, columns):
    """Refuse rows that are not of so many epochs of each phase, one after another."""
    found = [row["phase"] for row in rows]
    if found != [name for name, count in epochs.items() for _ in range(count)]:
        raise broken(
            path, f"its {len(rows):,} rows of the history are not those of its phases; expected one for each epoch"
        )
    if strange := {key for row in rows for key in row} - {*columns}:
        raise broken(
            path, f"its rows of the history have the column {min(strange)[:60]!r}; expected {', '.join(columns)}"
        )


class Keeper(keras.callbacks.Callback):
    """Keeps the state of a phase: after each epoch, after some seconds, and when the process is asked to stop.

    It stands last among the callbacks, so that the others have done their part.

    Args:
        run_dir: folder of the run.
        phase_plan: a `PhasePlan`.
        callbacks: the others.
        watch: the `Divergence` that looks at what is going to be kept.
        stop: a `Stop`: whether the process was asked to end.
        pause: seconds between two states within an epoch.
        began: when the phase began, by `time.perf_counter`.

    Attributes:
        epoch, step: where the next call of `model.fit` begins: epochs, and steps of that epoch.
        cut: that call was ended after an epoch with fewer steps than the others; one more is needed.
    """

    def __init__(self, run_dir, phase_plan, callbacks, watch, stop, pause, began):
        super().__init__()
        self.path, self.plan, self.callbacks, self.watch = run_dir / STEP, phase_plan, callbacks, watch
        self.stop, self.pause, self.began = stop, pause, began
        self.arrays, self.about, self.epoch, self.step, self.cut = {}, {}, 0, 0, False
        self.told = f"the state before phase {phase_plan.phase.name!r} is kept"

    def begin(self, learner):
        """Take up the state of this phase, if one was kept.

        Args:
            learner: a compiled `Learner`.
        """
        self.layers = [it for it in learner.model.layers if it.trainable or hasattr(it, "seed_generator")]
        arrays, about = load(self.path, OF_STEP, learner.whole)
        if about.get("phase") == self.plan.phase.name:
            self._check(about)
            self.began -= about["seconds"]
            self._go_on(arrays, about)

    def _check(self, about):
        """Refuse a place that the phase does not have, and what is no callback's to remember."""
        epochs, steps = self.plan.epochs, self.plan.steps_per_epoch
        if about["epoch"] > epochs or about["step"] >= steps or (about["epoch"] == epochs and about["step"]):
            told = f"stands at step {about['step']:,} of epoch {about['epoch']:,}"
            raise broken(self.path, f"{told}; expected {epochs:,} epochs of {steps:,} steps at most")
        if told := problem(about["callbacks"], {f"{name}?": shape for name, shape in REMEMBERED.items()}, "callbacks"):
            raise broken(self.path, told)
        for row in about["callbacks"].get("HistoryRows", {"rows": []})["rows"]:
            _check_row(self.path, row)

    def _go_on(self, arrays, about):
        self.arrays, self.about, self.step = arrays, about, about["step"]
        self.epoch = self.plan.epochs if about["stopped"] else about["epoch"]
        self.told = "the state that this process began with is kept"

    @property
    def spent(self):
        """Seconds in this phase so far, those of earlier processes included."""
        return time.perf_counter() - self.began

    def snapshot(self, epoch, step):
        """All that decides what comes next, which is a step of an epoch: arrays by name, and a table."""
        kept = {
            "model": variables_of(self.layers),
            "optimizer": _numbered(self.model.optimizer.variables),
            "metric": _numbered(self.model.metrics_variables if step else []),
        }
        arrays = {f"{kind}/{name}": np.array(it) for kind, named in kept.items() for name, it in named.items()}
        self.watch.check(arrays)
        remembered = {
            name: {attribute: getattr(callback, attribute) for attribute in REMEMBERED[name]}
            for callback in self.callbacks
            if (name := type(callback).__name__) in REMEMBERED
        }
        where = {"phase": self.plan.phase.name, "epoch": epoch, "step": step, "stopped": bool(self.model.stop_training)}
        return arrays, {**where, "seconds": self.spent, "callbacks": remembered}

    def on_train_begin(self, logs=None):
        self.kept, self.cut = time.perf_counter(), False
        if not self.arrays:
            return
        self.model.optimizer.build(self.model.trainable_variables)
        assign(variables_of(self.layers), self.arrays, "model/", self.path)
        assign(_numbered(self.model.optimizer.variables), self.arrays, "optimizer/", self.path)
        for callback in self.callbacks:
            name = type(callback).__name__
            kept = self.about["callbacks"].get(name, {})
            for attribute in REMEMBERED.get(name, ()):
                if attribute in kept:
                    setattr(callback, attribute, kept[attribute])

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if self.step:
            assign(_numbered(_built_metrics(self.model)), self.arrays, "metric/", self.path)
        self.arrays = {}

    def on_train_batch_end(self, batch, logs=None):
        done = self.step + batch + 1
        late = time.perf_counter() - self.kept > self.pause
        if done < self.plan.steps_per_epoch and (late or self.stop.asked):
            self._keep(*self.snapshot(self.epoch, done))

    def on_test_batch_end(self, batch, logs=None):
        if self.stop.asked:  # a validation may take longer than there is time for
            raise Stopped(f"stopped by {signal.Signals(self.stop.asked).name}; {self.told}", self.stop.asked)

    def on_epoch_end(self, epoch, logs=None):
        arrays, about = self.snapshot(epoch + 1, 0)
        if self.step:
            self._go_on(arrays, about)
            self.cut = self.model.stop_training = True
        self._keep(arrays, about)

    def _keep(self, arrays, about):
        save(self.path, arrays, about)
        self.kept = time.perf_counter()
        where = f"in phase {about['phase']!r}, epoch {about['epoch'] + 1}, before step {about['step'] + 1}"
        self.told = f"the state is kept: {where}"
        if self.stop.asked:
            raise Stopped(f"stopped by {signal.Signals(self.stop.asked).name}; {self.told}", self.stop.asked)


def _numbered(variables):
    return {str(place): it for place, it in enumerate(variables)}


def _built_metrics(model):
    """The variables of the metrics; Keras makes them when it first sees what they are computed from."""
    nothing = np.zeros((1, model.output_shape[-1]), "float32")
    model.compute_metrics(None, nothing, nothing)
    return model.metrics_variables
