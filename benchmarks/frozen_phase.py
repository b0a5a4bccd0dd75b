"""A frozen phase: seconds against epochs. What comes after the first pass should cost next to nothing.

    python benchmarks/frozen_phase.py DATA_DIR RESNET_WEIGHTS [SIZE] [PRECISION]

The head of a ResNet-50 (to conv4) on all training images there are, for 1, 5 and 20 epochs, each with an empty cache. A single
epoch has no use for the cache and trains the head behind the whole network.
"""

import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from kerastl import build_model, fit, layer_groups, load, plan, recipe

if __name__ == "__main__":
    data_dir, weights, size, precision = (*sys.argv[1:], "96", "float32")[:4] if len(sys.argv) < 5 else sys.argv[1:5]
    changes = {
        "data.dir": data_dir,
        "model.weights": weights,
        "model.image_size": int(size),
        "train.precision": precision,
    }
    base = {"model.features": "conv4_block6_out", **changes}
    for epochs in (1, 5, 20):
        os.environ["KERAS_HOME"] = tempfile.mkdtemp()
        spec = recipe("cifar10-freeze-first", "head-only", **base, **{"phases.0.epochs": epochs})
        data = load(spec.data, spec.model.image_size, 0)
        model = build_model(spec.model, data.shape, 10)
        groups = layer_groups(model, spec.model.backbone)
        plans = plan(model, groups, spec, data.counts)
        (done,) = fit(model, data, spec, plans, groups, tempfile.mkdtemp())
        features = done["feature_seconds"]
        later = done["seconds"] - features
        share = f", {100 * later / features:.1f}% of them" if features else " (no cache)"
        print(
            f"{epochs:3} epochs of {len(data.train):,}: features {features:.1f} s, epochs {later:.1f} s{share}",
            flush=True,
        )
