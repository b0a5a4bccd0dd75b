"""Which rates quickstart and its baseline should use, judged on scans that are in no split of the recipe.

    python benchmarks/quickstart_rates.py

The recipe keeps 200 of the 898 training scans; the other 698 judge here, so the test split takes no part in the choice.
"""

import tempfile

import keras
import numpy as np

from kerastl.data.load import load
from kerastl.errors import brief
from kerastl.evaluate.metrics import judge, predict_probabilities, shown
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.recipe import override, recipe
from kerastl.train.fit import fit
from kerastl.train.plan import plan

BACKBONE, HEAD = "phases.0.optimizer.learning_rate", "phases.1.optimizer.learning_rate"
SCALED = 10  # quickstart's train.learning_rate_scale
TRANSFER = [
    {BACKBONE: all_rate / SCALED, HEAD: head_rate / SCALED}
    for all_rate, head_rate in ((1e-4, 1e-2), (3e-4, 1e-3), (1e-3, 1e-3))
]
SCRATCH = [{"phases.0.optimizer.learning_rate": rate} for rate in (1e-3, 2e-3, 4e-3, 8e-3)]


def main():
    base = recipe("quickstart")
    baseline = {key: value for key, value in base.baseline.items() if key != "strategy"}
    scratch = override(base, base.baseline["strategy"], **baseline)
    for name, spec, settings in (("transfer", base, TRANSFER), ("scratch", scratch, SCRATCH)):
        for changes in settings:
            try:
                print(name, changes, shown(judged(override(spec, **changes))), flush=True)
            except Exception as error:
                print(name, changes, brief(error), flush=True)


def judged(spec):
    data = load(spec.data, spec.model.image_size, spec.seed)
    pool = load(
        override(spec, **{"data.limit": 10_000, "data.validation": 0.0}).data, spec.model.image_size, spec.seed
    ).train
    used = np.concatenate([data.train.digests, data.validation.digests])
    unused = pool.subset(np.flatnonzero(~np.isin(pool.digests, used)))
    keras.utils.set_random_seed(spec.seed)
    model = build_model(spec.model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    with tempfile.TemporaryDirectory() as folder:
        fit(model, data, spec, plans, groups, folder)
    return judge(predict_probabilities(model, unused), unused.labels, data.class_names)


if __name__ == "__main__":
    main()
