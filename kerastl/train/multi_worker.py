"""Keras 3 under MultiWorkerMirroredStrategy, which Keras does not support: its two faults, mended for one model.

keras issue 20585. `fit` first hands a batch of one replica to `strategy.reduce`, to build what is built already; then it takes the
mean of scalar metrics over an axis that scalars do not have. tests/train/test_devices.py fails when Keras needs this no longer.
"""

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import trainer

from kerastl.errors import UserError

TESTED = ("3.15",)


def mended(model, strategy):
    """Let a compiled model train under a strategy; one of several workers only on a Keras that this was tested with.

    Args:
        model: a `keras.Model` whose optimizer and metrics are built.
        strategy: a `tf.distribute.Strategy`.

    Raises:
        UserError: another Keras.
    """
    model._maybe_symbolic_build = lambda *arguments, **keywords: None  # it fails on shares of different size as well
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    if not keras.__version__.startswith(TESTED):
        raise UserError(
            f"several workers: found Keras {keras.__version__}; kerastl mends keras issue 20585 in {', '.join(TESTED)} only: "
            "install that, or train on one machine"
        )
    trainer.reduce_per_replica = _reduce_per_replica


def _reduce_per_replica(values, strategy, reduction):
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and reduction in ("auto", "mean"):
        return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)
    return _keras_own(values, strategy, reduction)


_keras_own = trainer.reduce_per_replica
