"""Range tests: what they suggest, and that they change nothing."""

import keras
import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.errors import RecipeError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train import lr_find
from kerastl.train.lr_find import HIGHEST, HOPELESS, LOWEST, STEPS, find_learning_rate, try_rates
from kerastl.train.plan import plan
from kerastl.train.state import variables_of

GROUPS = {"stage4": 1e-3, "head": 1e-2}


@pytest.fixture(scope="module")
def tested(tiny):
    """The head on cached features, then everything on pixels."""
    return find_learning_rate(tiny("cifar10-freeze-first"))


def test_each_phase_is_tested_with_its_own_plan(tested):
    assert [(it.phase, it.name) for it in tested] == [(0, "head"), (1, "fine-tune")]
    for it in tested:
        rates = it.scale * it.factors
        assert rates[0] == pytest.approx(LOWEST) and len(rates) == len(it.losses) == len(it.smoothed) <= STEPS
        np.testing.assert_allclose(np.diff(np.log(rates)), np.log(HIGHEST / LOWEST) / (STEPS - 1))


def test_the_suggestions_are_between_the_bounds_and_named(tested):
    head = tested[0]
    assert list(head.suggestions) == ["steepest", "min/10"]
    for factor in head.suggestions.values():
        assert 1e-5 < head.scale * factor < 1


def test_the_rules():
    """A loss that falls fastest at 1e-3, and is lowest at 1e-1."""
    factors = np.geomspace(LOWEST, HIGHEST, STEPS)
    place = np.log10(factors)
    smoothed = 2 - np.tanh(2 * (place + 3)) + 0.2 * np.maximum(0, place + 1) ** 2 - 0.01 * np.minimum(0, place + 1)
    steepest, tenth = lr_find._suggestions(factors, smoothed)
    assert steepest == pytest.approx(1e-3, rel=0.3) and tenth == pytest.approx(1e-2, rel=0.5)
    assert lr_find._suggestions(factors, np.linspace(1, 2, STEPS)) == (None, None)
    assert lr_find._suggestions(factors[:7], smoothed[:7]) == (None, None)


def test_it_ends_where_it_is_hopeless(tiny):
    [it] = find_learning_rate(tiny("cifar10-freeze-first", **{"phases.1.optimizer.name": "sgd"}), phase=1)
    over = it.smoothed > HOPELESS * np.minimum.accumulate(it.smoothed)
    assert not over[:-1].any()
    assert len(it.losses) == STEPS or over[-1] or np.isnan(it.smoothed[-1])


def test_with_rates_by_group_all_are_multiplied_alike(tiny):
    phases = [
        {
            "name": "two rates",
            "trainable": list(GROUPS),
            "epochs": 1,
            "optimizer": {"name": "adam", "learning_rate": GROUPS},
        }
    ]
    [it] = find_learning_rate(tiny(phases=phases))
    assert it.rates == GROUPS and it.scale == 1.0
    assert it.factors[0] * 1e-2 == pytest.approx(LOWEST)


def test_the_model_is_left_as_it_is(tiny, monkeypatch):
    """Weights, statistics, random states, flags, the optimizer: to the bit."""
    monkeypatch.setattr(lr_find, "STEPS", 12)
    recipe = tiny("cifar10-freeze-first", **{"model.head.dropout": 0.3})
    data = load(recipe.data, 32)
    model = build_model(recipe.model, data.shape, 10)
    groups = layer_groups(model, "SmallCNN")
    plans = plan(model, groups, recipe, data.counts)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="categorical_crossentropy")
    model.train_on_batch(np.zeros((2, *data.shape)), np.eye(10)[:2])

    def everything():
        held = variables_of(model.layers) | {f"adam/{n}": it for n, it in enumerate(model.optimizer.variables)}
        flags = [(it.trainable, getattr(it, "momentum", None), getattr(it, "rate", None)) for it in model.layers]
        return {name: np.array(it) for name, it in held.items()}, flags, id(model.optimizer)

    before = everything()
    for number, it in enumerate(plans):
        try_rates(model, data, recipe, it, groups, number)
    after = everything()
    assert before[1:] == after[1:] and before[0].keys() == after[0].keys()
    for name, array in before[0].items():
        np.testing.assert_array_equal(array, after[0][name], err_msg=name)


def test_a_phase_that_is_not_there(tiny):
    with pytest.raises(RecipeError, match="--phase 2: cifar10-freeze-first has the phases 0 to 1"):
        find_learning_rate(tiny("cifar10-freeze-first"), phase=2)
