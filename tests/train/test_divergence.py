"""Training that cannot go on ends at once, says where and why, and leaves the last good state."""

import errno
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.data.load import load
from kerastl.errors import KerastlError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train import fit, state, steps
from kerastl.train.divergence import HOPELESS, Divergence, memory_told
from kerastl.train.plan import plan


def trained(spec, folder):
    data = load(spec.data, 32)
    model = build_model(spec.model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    return fit.fit(model, data, spec, plan(model, groups, spec, data.counts), groups, folder)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tiny, tmp_path, monkeypatch):
    """At the step where it shows; what is kept is from before, and finite."""
    monkeypatch.setattr(steps, "CALL", 1)  # one step a call
    sgd = {"name": "sgd", "learning_rate": 1e30}
    spec = tiny(strategy="full", **{"phases.0.optimizer": sgd, "train.batch_size": 8, "train.checkpoint_minutes": 1e-9})
    told = r"phase 'all', epoch 1, step \d: the loss became (nan|inf) at the learning rates stem \S+e\+29, .*learning_rate_scale=0.1"
    with pytest.raises(KerastlError, match=told + rf".*kerastl train --resume {tmp_path} --force"):
        trained(spec, tmp_path)
    kept, _ = state.load(tmp_path / state.STEP)
    assert all(np.isfinite(array).all() for name, array in kept.items() if array.dtype.kind == "f")


def watching(rate=0.5):
    watch = Divergence("all", {"head": keras.optimizers.SGD(rate)}, 10, "runs/first")
    watch.on_epoch_begin(2)
    watch.on_train_batch_end(4, {"loss": 1.0})
    return watch


def test_weights_are_looked_at_before_they_are_kept():
    watching().check({"model/a": np.ones(3), "optimizer/0": np.array(7)})
    with pytest.raises(
        KerastlError, match=r"epoch 3, step 5: the weights model/b became infinite or NaN at .* head 0.5"
    ):
        watching().check({"model/a": np.ones(3), "model/b": np.array([1, np.inf])})


def test_a_loss_out_of_all_bounds_is_told_at_the_end_of_the_epoch():
    limit = HOPELESS * math.log(10)
    watching().on_epoch_end(2, {"loss": 0.99 * limit})
    with pytest.raises(KerastlError, match=r"the loss of the epoch is .*, 100 times that of an even guess"):
        watching().on_epoch_end(2, {"loss": 1.01 * limit})


OUT_OF_MEMORY = {
    "TensorFlow": lambda: raised(
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]")
    ),
    "NumPy": lambda: np.ones(2**46),
    "TensorFlow, sixteen terabytes": lambda: tf.ones([2**42]),
}


def raised(error):
    raise error


@pytest.mark.parametrize(
    "kind", [*list(OUT_OF_MEMORY)[:2], pytest.param(list(OUT_OF_MEMORY)[2], marks=pytest.mark.slow)]
)
def test_out_of_memory_says_what_to_lower(tiny, kind):
    """TensorFlow tries for ten seconds before it gives up."""
    told = r"phase 'all': out of memory .*train\.batch_size \(found 32\), model\.image_size \(found 32\)"
    with pytest.raises(KerastlError, match=told), memory_told("all", tiny()):
        OUT_OF_MEMORY[kind]()


def test_a_full_disk_is_not_taken_for_full_memory(tiny):
    """TensorFlow has one error for both."""
    with pytest.raises(OSError, match="No space left") as told, memory_told("all", tiny()):
        raise tf.errors.ResourceExhaustedError(None, None, "logs/x; No space left on device")
    assert told.value.errno == errno.ENOSPC
