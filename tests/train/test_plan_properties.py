"""Plans of phases that nobody wrote: every variable of the model is decided exactly once, and fit obeys."""

import contextlib
from collections import Counter
from dataclasses import replace

import keras
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from made_up import NARROWER, tables

from kerastl import schema, strict
from kerastl.errors import RecipeError
from kerastl.model.graph import INPUT_LAYERS, build_model
from kerastl.model.groups import STATISTICS, layer_groups
from kerastl.train.describe import describe
from kerastl.train.frontier import DRAWS
from kerastl.train.learner import apply
from kerastl.train.optimizers import combine, make_optimizers
from kerastl.train.plan import is_batch_norm, plan

GROUPS = ("stem", "stage1", "stage2", "stage3", "stage4", "head")
LAYERS = 55  # that bear weights, and a few more than there are
SOME_RATES = st.floats(1e-6, 10)
NAMED = st.lists(st.sampled_from(GROUPS), min_size=1, unique=True)
RECIPES = tables(
    schema.Recipe,
    {
        **NARROWER,
        (schema.Phase, "trainable"): st.sampled_from(["all", "head"])
        | NAMED
        | st.builds(lambda count: {"last_layers": count}, st.integers(1, LAYERS)),
        (schema.Phase, "solve"): None,  # the head of this model has two layers: tests/train/test_solve.py
        (schema.Phase, "epochs"): st.integers(1, 1000),
        (schema.Phase, "image_size"): None,  # another copy of the model for every phase: tests/train/test_plan.py
        (schema.OptimizerSpec, "learning_rate"): SOME_RATES
        | st.dictionaries(st.sampled_from(GROUPS), SOME_RATES, min_size=1),
        (schema.TrainSpec, "epochs_scale"): st.floats(1e-3, 10),
        (schema.TrainSpec, "learning_rate_scale"): st.floats(1e-3, 10),
    },
).map(lambda table: strict.read(schema.Recipe, table, "made up"))
IMAGES = st.tuples(st.integers(1, 10**6), st.integers(0, 10**5))


@pytest.fixture(scope="module")
def model():
    """Residual connections, BatchNorm, depthwise convolutions, dropout: all that a plan looks at."""
    head = schema.HeadSpec(widths=(8,), dropout=0.2)
    options = {"alpha": 0.35}
    return build_model(schema.ModelSpec("MobileNetV2", "none", 32, head=head, options=options), (32, 32, 3), 4)


@pytest.fixture(scope="module")
def groups(model):
    return layer_groups(model, "MobileNetV2")


@contextlib.contextmanager
def applied(model, it):
    """The flags of a phase on the model, which is everybody's, for the time of a `with` block."""
    before = [(layer, layer.trainable, getattr(layer, "momentum", None)) for layer in model.layers]
    apply(model, it)
    try:
        yield
    finally:
        for layer, trainable, momentum in before:
            layer.trainable = trainable
            if is_batch_norm(layer):
                layer.momentum = momentum


def planned(model, groups, recipe, images):
    """The plan, where the recipe fits the model."""
    try:
        return plan(model, groups, recipe, images)
    except RecipeError as error:
        assert any(key in str(error) for key in ("learning_rate: ", "last_layers: ", "augment.mix_in: "))
        assume(False)


def decisions(model, groups, it):
    """What the plan says of each variable, as pairs (path, decision); one that it says nothing of has none."""
    group_of = {layer.name: name for name, layers in groups.items() for layer in layers}
    for group in it.groups:
        for layer in groups[group.name]:
            for variable in layer.weights:
                learns = variable.name not in STATISTICS and layer.name in group.trained
                moves = variable.name in STATISTICS and layer.name in it.momentum
                yield variable.path, group.learning_rate if learns else "moves" if moves else "frozen"
    for layer in model.layers:
        if layer.name not in group_of:
            assert layer.name in INPUT_LAYERS
            yield from ((variable.path, "frozen") for variable in layer.weights)


@given(RECIPES, IMAGES)
def test_every_variable_is_decided_exactly_once(model, groups, recipe, images):
    for it in planned(model, groups, recipe, images):
        decided = Counter(path for path, _ in decisions(model, groups, it))
        assert decided == Counter(variable.path for variable in model.weights)
        assert set(decided.values()) == {1}


@given(RECIPES, IMAGES)
def test_fit_obeys(model, groups, recipe, images):
    """The flags, the moving statistics and the optimizers of a phase are those of the plan."""
    for it in planned(model, groups, recipe, images):
        decided = dict(decisions(model, groups, it))
        learns = {path: rate for path, rate in decided.items() if not isinstance(rate, str)}
        with applied(model, it):
            assert {variable.path for variable in model.trainable_variables} == set(learns)
            for layer in filter(is_batch_norm, model.layers):
                assert layer.trainable == (decided[layer.moving_mean.path] == "moves")
            plain = replace(it, phase=replace(it.phase, schedule=schema.ScheduleSpec()))
            optimizer = combine(make_optimizers(plain), model, groups)
            for path, rate in learns.items():
                assert float(rate_of(optimizer, path)) == pytest.approx(rate)


def rate_of(optimizer, path):
    several = isinstance(optimizer, keras.optimizers.MultiOptimizer)
    return (optimizer._optimizer_map[path] if several else optimizer).learning_rate


@given(RECIPES, IMAGES)
def test_rates_steps_and_parameters(model, groups, recipe, images):
    plans = planned(model, groups, recipe, images)
    assert [it.phase for it in plans] == list(recipe.phases)
    able = sum(group.parameters + group.frozen_parameters for group in plans[0].groups)
    for it in plans:
        assert it.epochs >= 1 and it.steps == it.epochs * it.steps_per_epoch > 0
        assert (it.steps_per_epoch - 1) * recipe.train.batch_size < images[0] * recipe.data.repeat
        assert it.steps_per_epoch * recipe.train.batch_size >= images[0] * recipe.data.repeat
        assert all((group.learning_rate is None) == (not group.trained) for group in it.groups)
        assert all(rate > 0 for rate in it.rates.values())
        assert sum(group.parameters + group.frozen_parameters for group in it.groups) == able
        assert all(0 <= momentum < 1 for momentum in it.momentum.values())
        assert it.phase.name in describe(plans)


@given(RECIPES, IMAGES)
def test_nothing_before_the_frontier_learns_moves_or_draws(model, groups, recipe, images):
    plans = planned(model, groups, recipe, images)
    for number, it in enumerate(plans):
        trunk = [model.get_layer(name) for name in it.frontier.trunk]
        assert trunk == model.layers[: len(trunk)]
        assert not {layer.name for layer in trunk} & {*it.trained, *it.momentum}
        assert {layer.name for layer in trunk if type(layer).__name__ in DRAWS} <= set(it.quiet)
        if it.frontier.via:
            ends = [n for n, other in enumerate(plans) if n > number and other.frontier.layer == it.frontier.via]
            assert any(
                not set(plans[end].frontier.trunk) & set().union(*(other.trained for other in plans[number:end]))
                for end in ends
            ), "what a later phase starts from is the same by then"
