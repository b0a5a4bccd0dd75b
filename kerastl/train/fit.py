"""`fit`: run the phases of a plan, one after the other, on one model."""

import contextlib
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerastl.data.split import Data
from kerastl.errors import KerastlWarning
from kerastl.model.graph import copy_weights
from kerastl.schema import Recipe
from kerastl.stopping import stop_signals
from kerastl.train import state
from kerastl.train.best import BestWeights
from kerastl.train.compiled import compile_learner
from kerastl.train.deadline import Deadline
from kerastl.train.devices import CROSSENTROPY, WholeLoss, scope, strategy_for, workers_told
from kerastl.train.divergence import Divergence, memory_told
from kerastl.train.history import COLUMNS, HistoryRows, columns_of, write_csv
from kerastl.train.learner import apply, make_learner, on_devices, quieted
from kerastl.train.pace import Pace
from kerastl.train.precision import precision
from kerastl.train.progress import PhaseProgress, paced, tell_epoch
from kerastl.train.solve import solve_head
from kerastl.train.state import Keeper
from kerastl.train.steps import phase_batches, validation_steps
from kerastl.train.tensorboard import Curves
from kerastl.voice import tell


def fit(model, data, recipe, plans, groups, run_dir, resume=False, on_epoch=None):
    """Train a model through all phases of its plan.

    Writes `history.csv` after every epoch, TensorBoard logs under `logs/`, the best weights of the phases that choose them
    under `checkpoints/`, and under `state/` what it takes to go on after the process was killed.

    Args:
        model: what `build_model` gave; trained in place, and left compiled as in its last phase.
        data: `Data`.
        recipe: a `Recipe`.
        plans: what `plan` gave.
        groups: what `layer_groups` gave.
        run_dir: folder of the run; made where it is missing.
        resume: go on from the state in the folder, which is that of the same recipe, data and first weights; from the
            beginning where there is none.
        on_epoch: a function that is called after each epoch with the rows of history.csv so far; it may raise.

    Returns:
        A list with a dict for each phase: name, epochs run, best epoch (None where the last weights were kept), steps,
        seconds, those of them that went into cached features, images per second of training (the first step's compilation
        included, validation not), and the precision of its steps.

    Raises:
        KerastlError: the training diverged, memory ran out, or the state is damaged.
        Stopped: the process was asked to end, and the state is kept.

    Example:
        >>> fit(model, data, recipe, plans, groups, "runs/first")[0]["seconds"]  # doctest: +SKIP
        42.1
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    if not resume:
        state.restart(run_dir)
    done, rows = state.resume_phases(run_dir, model, plans, columns_of(groups))
    if done:
        _leave(model, plans[len(done) - 1])
    pace, curves = Pace(plans, model, recipe, data.counts), Curves(run_dir, model, data, recipe)
    seen_by = [curves, *([on_epoch] if on_epoch else [])]
    deadline = None
    if recipe.train.minutes:
        deadline = time.monotonic() + 60 * recipe.train.minutes - sum(it["seconds"] for it in done)
    work = Work(
        model, data, recipe, plans, groups, run_dir, strategy_for(recipe.train.devices), pace, seen_by, deadline
    )
    with contextlib.closing(curves), paced(pace):
        for number, it in enumerate(plans[len(done) :], start=len(done)):
            with memory_told(it.phase.name, recipe), workers_told(run_dir):
                if rows and deadline and time.monotonic() > deadline and not it.phase.solve:
                    summary = _left_out(work, number)
                else:
                    summary, rows = _run_phase(work, number, rows)
                done.append(summary)
                state.keep_phases(run_dir, model, done, rows)
    return done


@dataclass(frozen=True)
class Work:
    """What the phases of a run share.

    Args:
        model, data, recipe, plans, groups, run_dir: as `fit` has them.
        strategy: of the devices that share every batch, or None.
        pace: the `Pace` of the run.
        seen_by: functions of the rows of history.csv, called after each epoch.
        deadline: by `time.monotonic`, when the phases have to be over; or None.
    """

    model: keras.Model
    data: Data
    recipe: Recipe
    plans: list
    groups: dict
    run_dir: Path
    strategy: tf.distribute.Strategy | None
    pace: Pace
    seen_by: list
    deadline: float | None = None

    def images(self, number):
        """In a training step of a phase, on the average."""
        return len(self.data.train) * self.recipe.data.repeat / self.plans[number].steps_per_epoch


def _run_phase(work, number, rows):
    """One phase, or what is left of it; gives its summary, and the rows of the history so far."""
    it = work.plans[number]
    keras.utils.set_random_seed(_phase_seed(work.recipe, number))
    work.pace.begin(number)
    length = {"epochs": it.epochs, "steps_per_epoch": it.steps_per_epoch}
    tell("phase", run=str(work.run_dir), phase=it.phase.name, number=number + 1, of=len(work.plans), **length)
    return (_solve if it.phase.solve else _train)(work, number, rows)


def _left_out(work, number):
    """The summary of a phase for which there is no time; the weights are those before it."""
    name = work.plans[number].phase.name
    told = f"phase {name!r} is left out: the {work.recipe.train.minutes:g} minutes of train.minutes are over"
    warnings.warn(told, KerastlWarning, stacklevel=3)
    numbers = {"epochs": 0, "best_epoch": 0, "steps": 0, "seconds": 0.0, "feature_seconds": 0.0}
    return {"name": name, **numbers, "images_per_second": None, "precision": "float32"}


def _solve(work, number, rows):
    """A phase whose head is solved: an epoch of its own in the history."""
    it = work.plans[number]
    with stop_signals():
        solved = solve_head(work.model, work.data, work.recipe, it)
    work.pace.go_on(0, 0)  # a solver's seconds say nothing of those of a step
    _leave(work.model, it)
    row = {"phase": it.phase.name, "epoch": 1, **{name: solved[name] for name in COLUMNS if name in solved}}
    row["seconds"] = seconds = round(solved["seconds"] + solved["feature_seconds"], 3)
    rows = [*rows, row]
    write_csv(work.run_dir / "history.csv", rows, columns_of(work.groups))
    for see in work.seen_by:
        see(rows)
    of = f"({number + 1}/{len(work.plans)})"
    tell_epoch(
        work, number, rows, f"{it.phase.name} {of} solved, penalty {solved['penalty']:.2g} by {solved['chosen_on']}"
    )
    images = len(work.data.train) * it.frontier.views
    return {
        "name": it.phase.name,
        "epochs": 1,
        "best_epoch": None,
        "steps": 1,
        "seconds": seconds,
        "feature_seconds": round(solved["feature_seconds"], 2),
        "images_per_second": round(images / max(solved["seconds"], 1e-3), 1),
        "precision": "float32",
        "penalty": solved["penalty"],
        "chosen_on": solved["chosen_on"],
    }, rows


def _train(work, number, rows):
    """A phase that takes steps."""
    recipe, it, run_dir = work.recipe, work.plans[number], work.run_dir
    began = time.perf_counter()
    learner = make_learner(work.model, work.data, recipe, it, seed=recipe.seed)
    with scope(work.strategy):
        learner = on_devices(learner, it, work.strategy)
        with quieted(learner.whole, it.quiet), precision(learner.whole, learner.precision):
            optimizers = compile_learner(learner, it, work.groups, recipe, work.strategy)
            name, phase = f"{number + 1}-{it.phase.name}", it.phase
            best = BestWeights(run_dir / "checkpoints", name, phase.monitor) if phase.monitor else None
            watch = Divergence(phase.name, optimizers, len(work.data.class_names), run_dir)
            recorder = HistoryRows(
                run_dir / "history.csv", rows, phase.name, optimizers, list(work.groups), work.seen_by
            )
            progress = PhaseProgress(work, number, recorder)
            ends = [Deadline(work.deadline)] if work.deadline else []
            callbacks = [WholeLoss(), *ends, *_choosing(phase, best), watch, recorder, progress]
            try:
                if phase.only_if_better:
                    best.begin_with(learner.model, _validation_loss(learner, work, number))
                with stop_signals(at_once=False) as stop:  # the next step keeps the state, or the last one did
                    keeper = Keeper(run_dir, it, callbacks, watch, stop, 60 * recipe.train.checkpoint_minutes, began)
                    _all_epochs(learner, work, number, [*callbacks, keeper])
            finally:
                progress.bar.close()
    if best:
        learner.model.load_weights(best.file)
    _give_back(learner, work.model, it)
    epochs = sum(row["phase"] == phase.name for row in recorder.rows)
    images = recorder.training_steps * work.images(number)
    return {
        "name": phase.name,
        "epochs": epochs,
        "best_epoch": best.best_epoch if best else None,
        "steps": epochs * it.steps_per_epoch,
        "seconds": round(keeper.spent, 2),
        "feature_seconds": round(learner.seconds, 2),
        "images_per_second": round(images / recorder.training_seconds, 1),
        "precision": learner.precision,
    }, recorder.rows


def _validation_loss(learner, work, number):
    """Before the first step of a phase."""
    _, validation = phase_batches(learner, work.data, work.recipe, work.plans[number], number, 0, work.strategy)
    steps = validation_steps(learner, work.recipe)
    return learner.model.evaluate(validation, steps=steps, verbose=0, return_dict=True)


def _phase_seed(recipe, number):
    """What a phase draws depends on the seed and on which phase it is, not on what the process did before."""
    return int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0])


def _all_epochs(learner, work, number, callbacks):
    """The epochs of a phase that are left; one that was begun before the process was killed is ended first."""
    recipe, it, keeper = work.recipe, work.plans[number], callbacks[-1]
    keeper.begin(learner)
    while True:
        first_step = keeper.epoch * it.steps_per_epoch + keeper.step
        train, validation = phase_batches(learner, work.data, recipe, it, number, first_step, work.strategy)
        learner.model.fit(
            train,
            initial_epoch=keeper.epoch,
            epochs=it.epochs,
            steps_per_epoch=it.steps_per_epoch - keeper.step,
            validation_data=validation,
            validation_steps=validation and validation_steps(learner, recipe),
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )
        if not keeper.cut:
            return


def _give_back(learner, model, it):
    """Leave the user's model as the phase leaves it: weights, trainable flags, compiled."""
    if learner.whole is not model:
        copy_weights(learner.whole, model)
    if learner.model is not model:
        _leave(model, it)


def _leave(model, it):
    apply(model, it)
    model.compile(loss=CROSSENTROPY, metrics=["accuracy"], jit_compile=False)


def _choosing(phase, best):
    """Callbacks that decide with which weights the phase ends; the moving average has to be in place before they look."""
    stop = phase.early_stopping
    return [
        *([keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if phase.optimizer.ema else []),
        *([best] if best else []),
        *([keras.callbacks.EarlyStopping(monitor=phase.monitor, patience=stop.patience)] if stop else []),
    ]
