"""A frozen phase: seconds against epochs. What comes after the first pass should cost next to nothing.

    python benchmarks/frozen_phase.py DATA_DIR RESNET_WEIGHTS [SIZE] [PRECISION]

The head of a ResNet-50 (to conv4) on all training images there are, for 1, 5 and 20 epochs, each with an empty cache (where a
single epoch has no use for it, it is filled all the same, so that the passes can be told from the epochs).
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
    first = None
    for epochs in (1, 5, 20):
        os.environ["KERAS_HOME"] = tempfile.mkdtemp()
        # data.repeat = 2 makes one epoch two passes over the images: then caching pays from the first epoch on.
        spec = recipe("cifar10-freeze-first", "head-only", **base, **{"phases.0.epochs": epochs, "data.repeat": 2})
        data = load(spec.data, spec.model.image_size, 0)
        model = build_model(spec.model, data.shape, 10)
        groups = layer_groups(model, spec.model.backbone)
        plans = plan(model, groups, spec, (len(data.train), len(data.validation)))
        (done,) = fit(model, data, spec, plans, groups, tempfile.mkdtemp())
        first = first or done["feature_seconds"]
        later = done["seconds"] - done["feature_seconds"]
        print(
            f"{epochs:3} epochs of {2 * len(data.train):,} images: features {done['feature_seconds']:.1f} s, "
            f"epochs {later:.1f} s = {100 * later / done['feature_seconds']:.1f}% of them",
            flush=True,
        )
