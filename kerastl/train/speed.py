"""How long a plan will take on this machine: a few steps of each phase are run and timed, and the rest is multiplication."""

import secrets
import shutil
import statistics
import time
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from kerastl.data.batches import evaluation_batches, steps_per_epoch
from kerastl.data.decode import DIGEST
from kerastl.data.images import Images
from kerastl.model.cut import split
from kerastl.train.compiled import compile_learner
from kerastl.train.features import trunk_function
from kerastl.train.learner import behind_the_frontier, first_learner, quieted
from kerastl.train.precision import faster_precision, precision
from kerastl.train.steps import phase_batches
from kerastl.train.store import Store

STEPS = 4  # timed, after one that is traced


@dataclass(frozen=True)
class PhaseSpeed:
    """What a phase will take.

    Args:
        name: of the phase.
        precision: of its steps.
        features: seconds to make the features that are cached; 0 where an earlier phase has made them.
        start: seconds until the first step has been traced, and the first validation.
        step: seconds of a training step.
        data: seconds in which the input pipeline alone makes a batch; a step waits where this is more than `step`.
        validation: seconds of one validation.
        seconds: all of it.
    """

    name: str
    precision: str
    features: float
    start: float
    step: float
    data: float
    validation: float
    seconds: float


def predict_seconds(model, data, recipe, plans, groups):
    """Time a few steps of every phase and say how long the phases will take.

    Args:
        model: what `build_model` gave; its weights are as before afterwards, its flags as in the last phase.
        data: `Data`.
        recipe: a `Recipe`.
        plans: what `plan` gave.
        groups: what `layer_groups` gave.

    Returns:
        A list with a `PhaseSpeed` for each phase. Features are counted as if none had been cached by an earlier run.
    """
    weights, made, speeds = model.get_weights(), set(), []
    for it in plans:
        speeds.append(_time_phase(model, data, recipe, it, groups, it.frontier.layer in made))
        made = {layer for layer in made | {it.frontier.layer, it.frontier.via} if not _outdated(it, plans, layer)}
        model.set_weights(weights)
    return speeds


def _outdated(it, plans, layer):
    """Whether something that this phase trains lies before a place: then what comes out there changes."""
    trunk = next((other.frontier.trunk for other in plans if other.frontier.layer == layer), ())
    return bool(it.trained & set(trunk))


def _time_phase(model, data, recipe, it, groups, made):
    learner, features = first_learner(model, data, recipe, it), 0.0
    if it.phase.solve:  # what the solver takes is little beside the features
        _, features = _time_features(learner, recipe, it)
        features = 0.0 if made else features
        return PhaseSpeed(it.phase.name, "float32", features, 0.0, 0.0, 0.0, 0.0, features)
    with quieted(learner.whole, it.quiet):
        if it.frontier.cached:
            learner, features = _time_features(learner, recipe, it)
        batch = learner.train.pixels[: recipe.train.batch_size]
        policy = faster_precision(it.precision, learner.model, batch, training=True)
        learner = replace(learner, precision=policy)
        with precision(learner.whole, policy):
            compile_learner(learner, it, groups, recipe)
            start, step, batch_seconds = _time_steps(learner, data, recipe, it)
            validation = 0.0
            if data.validation:
                traced, once = _time_validation(learner, len(data.class_names), recipe)
                start += traced
                validation = once * steps_per_epoch(len(data.validation), recipe.train.evaluation_batch)
    features = 0.0 if made else features
    seconds = features + start + it.steps * step + it.epochs * validation
    return PhaseSpeed(it.phase.name, policy, features, start, step, batch_seconds, validation, seconds)


def _time_features(learner, recipe, it):
    """The learner behind the frontier, on the features of a few images, and how long all features will take."""
    trunk, tail = split(learner.whole, it.frontier.layer)
    images, size = learner.train, recipe.train.evaluation_batch
    policy = faster_precision(it.trunk_precision, trunk, images.pixels[:size], training=False)
    began = time.perf_counter()
    run = trunk_function(trunk, policy, recipe.train.cache_dtype)
    folding = time.perf_counter() - began
    pixels = images.pixels[np.arange(size) % len(images)]
    traced, batch_seconds = _timed(lambda: run(tf.constant(pixels, tf.float32)).numpy(), STEPS)
    batches = steps_per_epoch(len(images), size) * it.frontier.views
    batches += steps_per_epoch(len(learner.validation), size) if learner.validation else 0
    starts = 2 if it.frontier.via else 1  # that goes in two parts, each folded and traced
    values = run(tf.constant(pixels, tf.float32)).numpy()
    batch_seconds += _time_writing(values)
    places = np.arange(2 * recipe.train.batch_size) % size
    rows = Images(values[places], images.labels[places % len(images)])
    return behind_the_frontier(learner, tail, rows, rows, recipe), starts * (folding + traced) + batches * batch_seconds


def _time_writing(values):
    """Seconds to keep a batch of features; 0 where KERAS_HOME cannot be written to, as then none is kept."""
    store = Store({"probe": secrets.token_hex(8)}, values.shape[1:], str(values.dtype))
    try:
        store.begin()
    except OSError:
        return 0.0
    try:
        return _timed(lambda: store.write(np.zeros(len(values), DIGEST), values), STEPS)[1]
    finally:
        shutil.rmtree(store.folder)


def _time_steps(learner, data, recipe, it):
    """Seconds to trace a training step, seconds of one, and seconds in which its batch is made."""
    call = learner.model.steps_per_execution
    batches, _ = phase_batches(learner, data, recipe, replace(it, epochs=10**6), 0)
    watch, count, began = _StepTimes(), call * (STEPS + 1), time.perf_counter()
    learner.model.fit(batches.take(count), verbose=0, callbacks=[watch], shuffle=False)
    start = time.perf_counter() - began - sum(watch.seconds[1:])
    _, seconds = _timed(lambda: [None for _ in batches.take(count)], 1)
    return start, statistics.median(watch.seconds[1:]) / call, seconds / count


def _time_validation(learner, classes, recipe):
    """Seconds to trace a validation step, and seconds of one."""
    images = learner.validation or learner.train
    few = images.subset(np.arange(recipe.train.evaluation_batch) % len(images))
    batches = evaluation_batches(few, classes, recipe.train.evaluation_batch).cache().repeat(STEPS)
    traced, seconds = _timed(lambda: learner.model.evaluate(batches, verbose=0), 1)
    return max(0.0, traced - seconds), seconds / STEPS


def _timed(work, times):
    """Seconds of the first time, and the median of the others."""
    seconds = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds[0], statistics.median(seconds[1:])


class _StepTimes(keras.callbacks.Callback):
    """Seconds between the ends of steps."""

    def on_train_begin(self, logs=None):
        self.last, self.seconds = time.perf_counter(), []

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now
