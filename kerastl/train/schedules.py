"""Learning rates over the steps of a phase, as Keras schedules."""

import keras

SCHEDULES = keras.optimizers.schedules
ONE_CYCLE_START = 1 / 25  # of the highest rate, as in PyTorch's OneCycleLR
ONE_CYCLE_END = 1e-4 / 25
ONE_CYCLE_WARMUP = 0.3


def make_schedule(spec, rate, epochs, steps_per_epoch):
    """The learning rate of one group over a phase.

    Args:
        spec: a `ScheduleSpec`.
        rate: the highest rate.
        epochs: of the phase.
        steps_per_epoch: batches in an epoch.

    Returns:
        A float, or a Keras `LearningRateSchedule`. `one-cycle` is Smith's (Super-Convergence, 2018) with a linear climb, a
        cosine fall and constant momentum.

    Example:
        >>> from kerastl.schema import ScheduleSpec
        >>> schedule = make_schedule(ScheduleSpec("step", every=10), 0.1, epochs=20, steps_per_epoch=5)
        >>> round(float(schedule(49)), 4), round(float(schedule(50)), 4)
        (0.1, 0.01)
    """
    make = {"constant": _constant, "step": _step, "cosine": _cosine, "one-cycle": _one_cycle}[spec.name]
    return make(spec, rate, epochs, steps_per_epoch)


def _constant(spec, rate, epochs, steps_per_epoch):
    return rate


def _step(spec, rate, epochs, steps_per_epoch):
    steps = max(1.0, spec.every * steps_per_epoch)
    return SCHEDULES.ExponentialDecay(rate, steps, spec.factor, staircase=True)


def _cosine(spec, rate, epochs, steps_per_epoch):
    return _warmed_cosine(rate, 0.0, 0.0, spec.warmup or 0.0, epochs * steps_per_epoch)


def _one_cycle(spec, rate, epochs, steps_per_epoch):
    warmup = ONE_CYCLE_WARMUP if spec.warmup is None else spec.warmup
    return _warmed_cosine(rate, ONE_CYCLE_START, ONE_CYCLE_END, warmup, epochs * steps_per_epoch)


def _warmed_cosine(rate, start, end, warmup, steps):
    climb = min(round(warmup * steps), steps - 1)  # one step at least learns at the full rate
    if not climb:
        return SCHEDULES.CosineDecay(rate, steps, alpha=end)
    return SCHEDULES.CosineDecay(rate * start, steps - climb, alpha=end, warmup_target=rate, warmup_steps=climb)
