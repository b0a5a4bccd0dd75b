"""`fit`: run the phases of a plan, one after the other, on one model."""

import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerastl.errors import RecipeError
from kerastl.model.graph import copy_weights
from kerastl.train import state
from kerastl.train.best import BestWeights
from kerastl.train.devices import CROSSENTROPY, WholeLoss, build_compiled, scope, strategy_for, workers_told
from kerastl.train.divergence import Divergence, memory_told
from kerastl.train.history import HistoryRows
from kerastl.train.learner import apply, make_learner, on_devices, quieted
from kerastl.train.optimizers import combine, make_optimizers
from kerastl.train.precision import precision
from kerastl.train.progress import PhaseProgress
from kerastl.train.state import Keeper
from kerastl.train.steps import phase_batches, steps_per_call, validation_steps
from kerastl.train.stopping import Stopped, stop_signals


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
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    if not resume:
        state.restart(run_dir)
    done, rows = state.resume_phases(run_dir, model)
    if done:
        _leave(model, plans[len(done) - 1])
    for number, it in enumerate(plans[len(done) :], start=len(done)):
        with stop_signals(at_once=False) as stop, memory_told(it.phase.name, recipe), workers_told(run_dir):
            summary, rows = _run_phase(
                model, data, recipe, it, groups, run_dir, number, len(plans), rows, stop, on_epoch
            )
            done.append(summary)
            state.keep_phases(run_dir, model, done, rows)
        if stop.asked:
            raise Stopped(f"phase {it.phase.name!r} is done, and the state is kept", stop.asked)
    return done


def _run_phase(model, data, recipe, it, groups, run_dir, number, phases, rows, stop, on_epoch):
    """Train one phase, or what is left of it; gives its summary, and the rows of the history so far."""
    keras.utils.set_random_seed(_phase_seed(recipe, number))
    began = time.perf_counter()
    learner, strategy = make_learner(model, data, recipe, it, seed=recipe.seed), strategy_for(recipe.train.devices)
    with scope(strategy):
        learner = on_devices(learner, it, strategy)
        with quieted(learner.whole, it.quiet), precision(learner.whole, learner.precision):
            optimizers = compile_learner(learner, it, groups, recipe, strategy)
            name, phase = f"{number + 1}-{it.phase.name}", it.phase
            best = BestWeights(run_dir / "checkpoints", name, phase.monitor) if phase.monitor else None
            watch = Divergence(phase.name, optimizers, len(data.class_names), run_dir)
            recorder = HistoryRows(run_dir / "history.csv", rows, phase.name, optimizers, list(groups), on_epoch)
            logs = keras.callbacks.TensorBoard(run_dir / "logs" / name, write_graph=False)
            progress = PhaseProgress(phase.name, number + 1, phases)
            callbacks = [WholeLoss(), *_choosing(phase, best), watch, recorder, logs, progress]
            keeper = Keeper(run_dir, it, callbacks, watch, stop, 60 * recipe.train.checkpoint_minutes, began)
            try:
                _all_epochs(learner, data, recipe, it, number, [*callbacks, keeper], strategy)
            finally:
                progress.bar.close()
    if best:
        learner.model.load_weights(best.file)
    _give_back(learner, model, it)
    epochs = sum(row["phase"] == phase.name for row in recorder.rows)
    images = recorder.training_steps / it.steps_per_epoch * len(data.train) * recipe.data.repeat
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


def _phase_seed(recipe, number):
    """What a phase draws depends on the seed and on which phase it is, not on what the process did before."""
    return int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0])


def _all_epochs(learner, data, recipe, it, number, callbacks, strategy):
    """The epochs of a phase that are left; one that was begun before the process was killed is ended first."""
    keeper = callbacks[-1]
    keeper.begin(learner)
    while True:
        first_step = keeper.epoch * it.steps_per_epoch + keeper.step
        train, validation = phase_batches(learner, data, recipe, it, number, first_step, strategy)
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


def compile_learner(learner, it, groups, recipe, strategy=None):
    """Compile what a phase trains, with fresh optimizers.

    Args:
        learner: a `Learner`.
        it: its `PhasePlan`.
        groups: what `layer_groups` gave.
        recipe: a `Recipe`.
        strategy: in whose scope this is called, or None.

    Returns:
        The optimizer of each group that learns.

    Raises:
        RecipeError: XLA is asked for, and resizes wrongly here.
    """
    if recipe.train.jit_compile:
        _check_compiled_resize(learner.model)
    optimizers = make_optimizers(it)
    optimizer = combine(optimizers, learner.model, groups)
    if learner.precision == "mixed_float16":  # small gradients would vanish in half precision
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    whole_loss = strategy and recipe.train.class_weights == "none"
    # Compiled anew: Keras reads the trainable flags here, and an optimizer cannot take up other variables later.
    # The training targets are smoothed and mixed in the data, so this loss is the plain one on validation images.
    learner.model.compile(
        optimizer=optimizer,
        loss=CROSSENTROPY,
        metrics=["accuracy", CROSSENTROPY] if whole_loss else ["accuracy"],
        jit_compile=recipe.train.jit_compile,
        # TensorFlow 2.21 cannot run a loop of several steps over shares of a batch.
        steps_per_execution=1
        if strategy
        else steps_per_call(learner.model, recipe.train.batch_size, it.steps_per_epoch),
    )
    if strategy:
        build_compiled(learner.model, strategy)
    return optimizers


def _check_compiled_resize(model):
    """TensorFlow 2.21's XLA resizes wrongly on the CPU by some factors, 32 to 96 and 32 to 224 among them, and says nothing."""
    resize = next((layer for layer in model.layers if isinstance(layer, keras.layers.Resizing)), None)
    if resize is None:
        return
    pixels = tf.random.stateless_uniform([1, *model.input.shape[1:]], seed=[0, 0], maxval=255.0)
    plain, compiled = (tf.function(resize, jit_compile=jit)(pixels, training=False) for jit in (False, True))
    off = float(tf.reduce_max(tf.abs(plain - compiled)))
    if off > 0.1:
        raise RecipeError(
            f"train.jit_compile: on this machine XLA resizes {tuple(pixels.shape[1:3])} to {tuple(plain.shape[1:3])} wrongly, by "
            f"{off:.0f} of 255; expected train.jit_compile = false, or an image size that it resizes right, as a power of two"
        )


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
