"""Training that cannot go on: no numbers any more, or no memory. Found where it shows, not at the end of the night."""

import contextlib
import errno
import math
import os

import keras
import numpy as np
import tensorflow as tf

from kerastl.errors import TrainingFailed, brief
from kerastl.train.optimizers import rates_now

HOPELESS = 100  # times the loss of an even guess, over a whole epoch


class Divergence(keras.callbacks.Callback):
    """Ends a phase whose loss or weights are no numbers any more, or whose loss has left all bounds.

    Args:
        phase: its name.
        optimizers: the optimizer of each group that learns.
        classes: how many.
        run_dir: folder of the run, for the message.
    """

    def __init__(self, phase, optimizers, classes, run_dir):
        super().__init__()
        self.phase, self.optimizers, self.run_dir = phase, optimizers, run_dir
        self.hopeless, self.epoch, self.step = HOPELESS * math.log(max(2, classes)), 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.step = epoch + 1, 0

    def on_train_batch_end(self, batch, logs=None):
        self.step = batch + 1
        if not math.isfinite(logs["loss"]):
            self.give_up(f"the loss became {logs['loss']}")

    def on_epoch_end(self, epoch, logs=None):
        if not logs["loss"] < self.hopeless:
            self.give_up(f"the loss of the epoch is {logs['loss']:.3g}, {HOPELESS} times that of an even guess")

    def check(self, arrays):
        """Give up where weights are not finite: a step may spoil them before a loss shows it."""
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                self.give_up(f"the weights {name} became infinite or NaN")

    def give_up(self, what):
        shown = ", ".join(f"{group} {rate:.3g}" for group, rate in rates_now(self.optimizers).items())
        raise TrainingFailed(
            f"phase {self.phase!r}, epoch {self.epoch}, step {self.step}: {what} at the learning rates {shown}. Lower them "
            "(train.learning_rate_scale=0.1) or clip gradients (phases.N.optimizer.clip_norm=1); the last good state is "
            f"kept: kerastl train --resume {self.run_dir} --force --set KEY=VALUE goes on from there"
        )


@contextlib.contextmanager
def memory_told(phase, recipe):
    """For the time of a `with` block, let an error of memory say which setting to lower."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        if "No space left" in str(error):  # TensorFlow's word for a full disk as well
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        raise TrainingFailed(
            f"phase {phase!r}: out of memory ({brief(error)}). Lower train.batch_size (found {recipe.train.batch_size}), "
            f"model.image_size (found {recipe.model.image_size}) or train.cache_budget.ram "
            f"(found {recipe.train.cache_budget.ram:,.0f})"
        ) from None
