"""What a strategy costs where there is nothing to share: MirroredStrategy with one replica against none, in turns.

    python benchmarks/strategy_overhead.py [ROUNDS]

The same model, batches and callbacks; a step is a call in both. The fastest epoch of each counts, as the machine's noise only adds.
"""

import os
import sys
import tempfile

os.environ["KERAS_HOME"] = tempfile.mkdtemp()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from step_overhead import STEPS, EpochSeconds, prepared

from kerastl.train import steps
from kerastl.train.compiled import compile_learner
from kerastl.train.devices import scope
from kerastl.train.learner import on_devices
from kerastl.train.steps import phase_batches

CASES = {
    "MobileNetV2 (alpha .35) at 96": {"model.image_size": 96},
    "ResNet-50 at 64": {"model.backbone": "ResNet50", "model.image_size": 64, "model.options": {}},
}


def compare(changes, rounds):
    data, spec, groups, it, learner = prepared(changes)
    ways, seconds = {}, {"none": [], "one replica": []}
    for name, strategy in (("none", None), ("one replica", tf.distribute.MirroredStrategy(["/cpu:0"]))):
        with scope(strategy):
            ways[name] = strategy, on_devices(learner, it, strategy)
            compile_learner(ways[name][1], it, groups, spec, strategy)
    for turn in range(2 * (rounds + 1)):
        name = list(ways)[turn % 2]
        (strategy, mine), watch = ways[name], EpochSeconds()
        train, _ = phase_batches(mine, data, spec, it, turn, strategy=strategy)
        mine.model.fit(train, steps_per_epoch=STEPS, callbacks=[watch], verbose=0, shuffle=False)
        seconds[name] += [watch.seconds] if turn > 1 else []  # the first two trace
    return {name: min(times) / STEPS for name, times in seconds.items()}


if __name__ == "__main__":
    steps.CALL = 0  # one step a call, as under a strategy
    for name, changes in CASES.items():
        step = compare(changes, int((*sys.argv, "6")[1]))
        print(
            f"{name}: no strategy {1000 * step['none']:.1f} ms, MirroredStrategy with one replica "
            f"{1000 * step['one replica']:.1f} ms a step: {100 * (step['one replica'] / step['none'] - 1):+.1f}%",
            flush=True,
        )
