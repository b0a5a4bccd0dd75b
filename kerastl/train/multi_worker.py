"""Keras 3 under MultiWorkerMirroredStrategy, which Keras does not support: its two faults, mended for one model.

keras issue 20585. `fit` first hands a batch of one replica to `strategy.reduce`, to build what is built already; then it takes the
mean of scalar metrics over an axis that scalars do not have. tests/train/test_devices.py fails when Keras needs this no longer.
"""

import warnings

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer

from kerastl.errors import KerastlWarning

TESTED = ("3.15",)


def mended(model, strategy):
    """Let a compiled model train under a strategy; several workers on a Keras that this was not tested with are a warning.

    Args:
        model: a `keras.Model` whose optimizer and metrics are built.
        strategy: a `tf.distribute.Strategy`.
    """
    model._maybe_symbolic_build = lambda *arguments, **keywords: None  # it fails on shares of different size as well
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    if not keras.__version__.startswith(TESTED):
        warnings.warn(
            f"several workers: kerastl's correction of keras issue 20585 was tested with Keras {', '.join(TESTED)}, not with "
            f"{keras.__version__}; if training fails, install that version, or train on one machine",
            KerastlWarning,
            stacklevel=2,
        )
    trainer.reduce_per_replica = _reduce_per_replica


def _reduce_per_replica(values, strategy, reduction):
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and reduction in ("auto", "mean"):
        return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)
    return _keras_own(values, strategy, reduction)


_keras_own = trainer.reduce_per_replica
