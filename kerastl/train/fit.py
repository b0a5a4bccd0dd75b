"""`fit`: run the phases of a plan, one after the other, on one model."""

import time
from pathlib import Path

import keras
import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from kerastl.data.batches import evaluation_batches, training_batches
from kerastl.train.history import HistoryRows
from kerastl.train.optimizers import combine, make_optimizers
from kerastl.train.plan import is_batch_norm
from kerastl.train.progress import PhaseProgress


def fit(model, data, recipe, plans, groups, run_dir):
    """Train a model through all phases of its plan.

    Writes `history.csv` after every epoch, TensorBoard logs under `logs/`, and the best weights of the phases that keep
    them under `checkpoints/`.

    Args:
        model: what `build_model` gave; trained in place, and left compiled as in its last phase.
        data: `Data`.
        recipe: a `Recipe`.
        plans: what `plan` gave.
        groups: what `layer_groups` gave.
        run_dir: folder of the run; made where it is missing.

    Returns:
        A list with a dict for each phase: name, epochs run, best epoch (None where the last weights were kept), steps,
        seconds, and images per second of training (the first step's compilation included, validation not).

    Raises:
        KerastlError: the loss became infinite or NaN.
    """
    run_dir, rows = Path(run_dir), []
    run_dir.mkdir(parents=True, exist_ok=True)
    return [
        _run_phase(model, data, recipe, it, groups, run_dir, number, len(plans), rows)
        for number, it in enumerate(plans)
    ]


def _run_phase(model, data, recipe, it, groups, run_dir, number, phases, rows):
    apply(model, it)
    optimizers = make_optimizers(it)
    # Compiled anew: Keras reads the trainable flags here, and an optimizer cannot take up other variables later.
    # The training targets are smoothed and mixed in the data, so this loss is the plain one on validation images.
    model.compile(
        optimizer=combine(optimizers, model, groups),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    classes = len(data.class_names)
    train = training_batches(
        data.train,
        classes,
        recipe.train.batch_size,
        it.epochs,
        seed=[recipe.seed, number],
        repeat=recipe.data.repeat,
        augment_spec=recipe.augment,
        label_smoothing=recipe.train.label_smoothing,
    )
    validation = (
        evaluation_batches(data.validation, classes, recipe.train.evaluation_batch) if data.validation else None
    )
    best = run_dir / "checkpoints" / f"{number + 1}-{it.phase.name}.weights.h5"
    recorder = HistoryRows(run_dir / "history.csv", rows, it.phase.name, optimizers, list(groups))
    before = len(rows)
    began = time.perf_counter()
    progress = PhaseProgress(it.phase.name, number + 1, phases)
    tensorboard = keras.callbacks.TensorBoard(run_dir / "logs" / f"{number + 1}-{it.phase.name}", write_graph=False)
    try:
        model.fit(
            train,
            epochs=it.epochs,
            steps_per_epoch=it.steps_per_epoch,
            validation_data=validation,
            class_weight=_class_weights(data, recipe),
            callbacks=[*_choosing(it.phase, best), recorder, tensorboard, progress],
            verbose=0,
            shuffle=False,
        )
    finally:
        progress.bar.close()
    seconds = time.perf_counter() - began
    if it.phase.monitor:
        model.load_weights(best)
    epochs = len(rows) - before
    images = epochs * len(data.train) * recipe.data.repeat
    return {
        "name": it.phase.name,
        "epochs": epochs,
        "best_epoch": _best_epoch(it.phase, rows[before:]),
        "steps": epochs * it.steps_per_epoch,
        "seconds": round(seconds, 2),
        "images_per_second": round(images / recorder.training_seconds, 1),
    }


def apply(model, phase_plan):
    """Set the trainable flags and batch normalisation momenta of a phase.

    A frozen BatchNormalization layer uses its moving statistics and leaves them as they are; Keras ties both to `trainable`.

    Args:
        model: the one that was planned; compile it afterwards.
        phase_plan: a `PhasePlan`.
    """
    for layer in model.layers:
        layer.trainable = layer.name in phase_plan.trained
        if is_batch_norm(layer) and layer.name in phase_plan.momentum:
            layer.momentum = phase_plan.momentum[layer.name]


def _choosing(phase, best):
    """Callbacks that decide with which weights the phase ends; the moving average has to be in place before they look."""
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if phase.optimizer.ema else []
    if phase.monitor:
        best.parent.mkdir(parents=True, exist_ok=True)
        callbacks.append(
            keras.callbacks.ModelCheckpoint(best, monitor=phase.monitor, save_best_only=True, save_weights_only=True)
        )
    if phase.early_stopping:
        callbacks.append(keras.callbacks.EarlyStopping(monitor=phase.monitor, patience=phase.early_stopping.patience))
    return callbacks


def _class_weights(data, recipe):
    if recipe.train.class_weights == "none":
        return None
    labels = data.train.labels
    present = np.unique(labels)
    return dict(
        zip(present.tolist(), compute_class_weight("balanced", classes=present, y=labels).tolist(), strict=True)
    )


def _best_epoch(phase, rows):
    if not phase.monitor:
        return None
    scores = [row[phase.monitor] for row in rows]
    return int(np.argmin(scores) if phase.monitor == "val_loss" else np.argmax(scores)) + 1
