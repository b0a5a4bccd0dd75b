"""Predicting how long a recipe takes: the parts, and that they add up. Absolute times are for benchmarks/, not for tests."""

import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train.plan import plan
from kerastl.train.speed import predict_seconds
from kerastl.train.store import root

CHANGES = {"phases.0.epochs": 10, "phases.1.epochs": 3, "train.epochs_scale": 1.0}


@pytest.fixture
def measured(tiny):
    recipe = tiny("cifar10-freeze-first", **CHANGES)
    data = load(recipe.data, 32)
    model = build_model(recipe.model, data.shape, 10)
    before = model.get_weights()
    groups = layer_groups(model, "SmallCNN")
    plans = plan(model, groups, recipe, (len(data.train), len(data.validation)))
    speeds = predict_seconds(model, data, recipe, plans, groups)
    return speeds, plans, before, model


def test_each_phase_is_the_sum_of_its_parts(measured):
    speeds, plans, *_ = measured
    assert [it.name for it in speeds] == ["head", "fine-tune"]
    for speed, it in zip(speeds, plans, strict=True):
        parts = speed.features + speed.start + it.steps * speed.step + it.epochs * speed.validation
        assert speed.seconds == pytest.approx(parts)
        assert min(speed.start, speed.step, speed.data, speed.validation) > 0
    assert speeds[0].features > 0 and speeds[1].features == 0
    assert speeds[0].step < speeds[1].step, "the head on features is less than everything on pixels"


def test_it_leaves_no_trace(measured):
    *_, before, model = measured
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))
    assert not list(root().rglob("*.npy"))


def test_features_that_an_earlier_phase_made_cost_nothing(tiny):
    phases = [
        {
            "name": name,
            "trainable": ["stage4", "head"],
            "epochs": 5,
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
        }
        for name in ("one", "two")
    ]
    recipe = tiny(phases=phases, **{"train.epochs_scale": 1.0})
    data = load(recipe.data, 32)
    model = build_model(recipe.model, data.shape, 10)
    groups = layer_groups(model, "SmallCNN")
    one, two = predict_seconds(model, data, recipe, plan(model, groups, recipe, (48, 16)), groups)
    assert one.features > 0 and two.features == 0
    assert np.isfinite(two.seconds)
