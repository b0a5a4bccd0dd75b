"""What kerastl adds to a training step: its `fit` against bare `model.fit`, same model, batches and optimizer, in turns.

python benchmarks/step_overhead.py [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
import time

os.environ["KERAS_HOME"] = tempfile.mkdtemp()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from kerastl import build_model, fit, layer_groups, load, plan, recipe
from kerastl.train.fit import compile_learner, phase_batches
from kerastl.train.history import read_history
from kerastl.train.learner import make_learner

CASES = {
    "MobileNetV2 (alpha .35) at 96, everything": {"model.image_size": 96},
    "ResNet-50 at 64, everything": {"model.backbone": "ResNet50", "model.image_size": 64, "model.options": {}},
}


def prepared(changes):
    phase = {"name": "all", "trainable": "all", "epochs": 2, "optimizer": {"name": "adam", "learning_rate": 1e-5}}
    spec = recipe(
        "quickstart",
        **{
            "model.weights": "none",
            "data.limit": 640,
            "data.validation": 0.0,
            "data.repeat": 2,
            "train.batch_size": 64,
        },
        **{"phases": [phase], "train.epochs_scale": 1.0, "train.learning_rate_scale": 1.0, "strategy": "full"},
        **changes,
    )
    data = load(spec.data, 32)
    model = build_model(spec.model, data.shape, 10)
    groups = layer_groups(model, spec.model.backbone)
    return spec, data, model, groups, plan(model, groups, spec, (len(data.train), 0))


class SecondEpoch(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self.began


def bare(spec, data, model, groups, plans):
    learner = make_learner(model, data, spec, plans[0], seed=0)
    compile_learner(learner, plans[0], groups, spec)
    train, _ = phase_batches(learner, data, spec, plans[0], 0)
    watch = SecondEpoch()
    model.fit(train, epochs=2, steps_per_epoch=plans[0].steps_per_epoch, callbacks=[watch], verbose=0, shuffle=False)
    return watch.seconds


def ours(spec, data, model, groups, plans):
    with tempfile.TemporaryDirectory() as folder:
        fit(model, data, spec, plans, groups, folder)
        return read_history(f"{folder}/history.csv")[-1]["seconds"]


if __name__ == "__main__":
    rounds = int((*sys.argv, "3")[1])
    for name, changes in CASES.items():
        parts = prepared(changes)
        ratios = []
        for turn in range(rounds):
            pair = (bare, ours) if turn % 2 else (ours, bare)
            seconds = {run.__name__: run(*parts) for run in pair}
            ratios.append(seconds["ours"] / seconds["bare"])
        steps = parts[4][0].steps_per_epoch
        print(
            f"{name}: kerastl / bare {statistics.median(ratios):.3f} of {np.round(ratios, 3).tolist()}, {steps} steps"
        )
