"""The sweep of cifar100-last-layers (six settings, 15 epochs each) with the shared feature cache and without.

python benchmarks/sweep_cache.py DATA_DIR RESNET_WEIGHTS [IMAGES] [SIZE]
"""

import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from kerastl import recipe, train

LAYERS = (1, 3, 6, 12, 15, 25)

if __name__ == "__main__":
    data_dir, weights, images, size = (*sys.argv[1:], *("1000", "64")[len(sys.argv) - 3 :])[:4]
    changes = {"data.dir": data_dir, "model.weights": weights, "data.limit": int(images), "model.image_size": int(size)}
    base = {"model.features": "conv4_block6_out", **changes}
    seconds = {}
    for disk, name in ((20e9, "with the cache"), (0.0, "without")):
        os.environ["KERAS_HOME"] = tempfile.mkdtemp()
        for layers in LAYERS:
            setting = {"phases.0.trainable.last_layers": layers, "train.cache_budget.disk": disk}
            began = time.perf_counter()
            run = train(recipe("cifar100-last-layers", **base, **setting), tempfile.mkdtemp(), score_test=False)
            seconds[name, layers] = time.perf_counter() - began
            validation = run.metrics["validation"]["accuracy"]
            print(
                f"{name:<15} last {layers:2} layers {seconds[name, layers]:7.1f} s  validation {validation:.3f}",
                flush=True,
            )
    each = [
        sum(value for (which, _), value in seconds.items() if which == name) for name in ("with the cache", "without")
    ]
    print(f"all six: {each[0]:.0f} s with the cache, {each[1]:.0f} s without: {each[1] / each[0]:.2f} times")
