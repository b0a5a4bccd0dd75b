"""A phase that reaches the end of its time keeps the best so far; what comes after it is left out."""

import keras
import pytest

from kerastl.data.load import load
from kerastl.errors import KerastlWarning
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.recipe import override
from kerastl.train.fit import fit
from kerastl.train.plan import plan

STEPS = {"batch_norm": "freeze", "epochs": 500, "optimizer": {"learning_rate": 1e-5}, "only_if_better": True}


@pytest.mark.parametrize("first", ["solved", "steps"])
def test_the_time_is_over(tiny, tmp_path, first):
    head = (
        {"name": "head", "trainable": "head", "solve": "logistic"} if first == "solved" else {"name": "head", **STEPS}
    )
    phases = [head, {"name": "all", **STEPS}, {"name": "more", **STEPS}]
    recipe = override(tiny(), **{"phases": phases, "train.epochs_scale": 1.0, "train.minutes": 1e-6})
    data = load(recipe.data, 32)
    keras.utils.set_random_seed(0)
    model = build_model(recipe.model, data.shape, len(data.class_names))
    groups = layer_groups(model, "SmallCNN")
    plans = plan(model, groups, recipe, data.counts)
    with pytest.warns(KerastlWarning, match="phase 'all' is left out: the 1e-06 minutes of train.minutes are over"):
        done = fit(model, data, recipe, plans, groups, tmp_path)
    assert [it["epochs"] for it in done] == [1, 0, 0]
    assert done[1]["best_epoch"] == 0 and done[1]["images_per_second"] is None
    again = fit(model, data, recipe, plans, groups, tmp_path, resume=True)
    assert again == done
