"""What kerastl adds to a training step: one compiled model, epochs of `model.fit` with kerastl's callbacks and bare, in turns.

    python benchmarks/step_overhead.py [ROUNDS]

Batches and compiled step are the same objects in both, so that what differs is what kerastl does around a step: history,
TensorBoard, progress, a look at the loss. The machine's own noise is larger than that; so the fastest epoch of each kind counts.
Keeping the state, once an epoch, is told apart: ten steps are no epoch.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["KERAS_HOME"] = tempfile.mkdtemp()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from kerastl import build_model, layer_groups, load, plan, recipe
from kerastl.files import remove
from kerastl.stopping import Stop
from kerastl.train.compiled import compile_learner
from kerastl.train.divergence import Divergence
from kerastl.train.history import HistoryRows
from kerastl.train.learner import make_learner
from kerastl.train.progress import PhaseProgress
from kerastl.train.state import Keeper
from kerastl.train.steps import phase_batches

CASES = {
    "SmallCNN at 32": {"model.backbone": "SmallCNN", "model.image_size": 32, "model.options": {}},
    "MobileNetV2 (alpha .35) at 96": {"model.image_size": 96},
    "ResNet-50 at 64": {"model.backbone": "ResNet50", "model.image_size": 64, "model.options": {}},
}
STEPS = 10


class EpochSeconds(keras.callbacks.Callback):
    """Seconds of an epoch, what callbacks do at its end included."""

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.began


def prepared(changes):
    """Data, recipe, groups, plan and learner of one phase that trains everything."""
    phase = {"name": "all", "trainable": "all", "epochs": 1000, "optimizer": {"name": "adam", "learning_rate": 1e-5}}
    fixed = {
        "model.weights": "none",
        "data.limit": 640,
        "data.validation": 0.0,
        "data.repeat": 1,
        "train.batch_size": 64,
    }
    scale = {"train.epochs_scale": 1.0, "train.learning_rate_scale": 1.0, "strategy": "full", "phases": [phase]}
    spec = recipe("quickstart", **fixed, **scale, **changes)
    data = load(spec.data, 32)
    model = build_model(spec.model, data.shape, 10)
    groups = layer_groups(model, spec.model.backbone)
    (it,) = plan(model, groups, spec, data.counts)
    return data, spec, groups, it, make_learner(model, data, spec, it, seed=0)


def compare(changes, rounds):
    data, spec, groups, it, learner = prepared(changes)
    optimizers = compile_learner(learner, it, groups, spec)
    folder, seconds = Path(tempfile.mkdtemp()), {"bare": [], "kerastl": [], "state": []}
    for turn in range(2 * rounds + 2):
        name, callbacks = ("bare", "kerastl")[turn % 2], []
        if name == "kerastl":
            recorder = HistoryRows(folder / "history.csv", [], "all", optimizers, list(groups))
            logs = keras.callbacks.TensorBoard(folder / "logs", write_graph=False)
            watch = Divergence("all", optimizers, 10, folder)
            callbacks = [watch, recorder, logs, PhaseProgress("all", 1, 1)]
        keeper = Keeper(folder, it, callbacks, callbacks[0], Stop(), 600, 0.0) if callbacks else EpochSeconds()
        if callbacks:
            keeper.begin(learner)
        before, after, (train, _) = EpochSeconds(), EpochSeconds(), phase_batches(learner, data, spec, it, turn)
        callbacks = [*callbacks, before, keeper, after]
        learner.model.fit(train, steps_per_epoch=STEPS, callbacks=callbacks, verbose=0, shuffle=False)
        remove(folder / "state")
        if turn > 1:  # the first two trace
            seconds[name].append(before.seconds / STEPS)
            seconds["state"] += [after.seconds - before.seconds] if name == "kerastl" else []
    return {name: min(times) for name, times in seconds.items()}


if __name__ == "__main__":
    rounds = int((*sys.argv, "8")[1])
    for name, changes in CASES.items():
        step = compare(changes, rounds)
        print(
            f"{name}: bare {1000 * step['bare']:.1f} ms, with kerastl {1000 * step['kerastl']:.1f} ms a step: "
            f"{100 * (step['kerastl'] / step['bare'] - 1):+.1f}%; keeping the state takes {step['state']:.2f} s",
            flush=True,
        )
