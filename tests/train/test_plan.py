"""The plan: golden for every recipe, and right about every variable."""

from pathlib import Path

import numpy as np
import pytest

from kerastl.errors import RecipeError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups, learnable
from kerastl.preview import dry_run
from kerastl.recipe import names, recipe
from kerastl.schema import ModelSpec
from kerastl.train.describe import describe
from kerastl.train.plan import is_batch_norm, plan

GOLDEN = Path(__file__).parent / "plans"


@pytest.mark.parametrize("name", names())
def test_golden(name, request):
    if "hub:" in recipe(name).model.backbone:
        pytest.importorskip("keras_hub")
    plans, told = dry_run(recipe(name))
    text = f"{told}\n\n{describe(plans)}"
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-plans"):
        path.write_text(text)
    assert text == path.read_text(), "if this change of plan is meant: pytest tests/train/test_plan.py --update-plans"


@pytest.fixture(scope="module")
def resnet():
    model = build_model(ModelSpec("ResNet50", "none", 32), (32, 32, 3), 100)
    return model, layer_groups(model, "ResNet50")


@pytest.fixture(scope="module")
def small():
    model = build_model(ModelSpec("SmallCNN", "none", 32), (32, 32, 3), 4)
    return model, layer_groups(model, "SmallCNN")


def plan_of(built, name, strategy=None, **overrides):
    model, groups = built
    return plan(model, groups, recipe(name, strategy, **overrides), (640, 0))


def test_progressive_has_its_five_rates_on_the_right_layers(resnet):
    head, upper, everything = plan_of(resnet, "cifar100-progressive")
    assert head.rates == {"head": 0.01}
    assert upper.rates == {"stage3": 0.0005, "stage4": 0.001, "head": 0.005}
    assert everything.rates == {
        "stem": 0.00005,
        "stage1": 0.00005,
        "stage2": 0.0001,
        "stage3": 0.0003,
        "stage4": 0.0008,
        "head": 0.002,
    }
    prefixes = {g.name: {name[:6] for name in g.trained} for g in everything.groups}
    assert prefixes["stage3"] == {"conv4_"} and prefixes["stage4"] == {"conv5_"} and prefixes["stem"] == {"conv1_"}
    assert [it.epochs for it in (head, upper, everything)] == [10, 15, 75]


@pytest.mark.parametrize("trainable", ["all", "head", ["stage4", "head"], {"last_layers": 7}])
@pytest.mark.parametrize("batch_norm", ["update", "freeze"])
def test_every_parameter_is_decided_once(resnet, trainable, batch_norm):
    model, _ = resnet
    changes = {"phases.0.trainable": trainable, "phases.0.batch_norm": batch_norm}
    (it,) = plan_of(resnet, "cifar100-last-layers", **changes)
    able = sum(int(np.prod(w.shape)) for layer in model.layers if layer.name != "preprocess" for w in learnable(layer))
    assert sum(group.parameters + group.frozen_parameters for group in it.groups) == able
    norms = {layer.name for layer in model.layers if is_batch_norm(layer)}
    assert set(it.momentum) == it.trained & norms
    if batch_norm == "freeze":
        assert not it.trained & norms


LAST = [
    (1, {"logits"}),
    (2, {"logits", "conv5_block3_3_conv", "conv5_block3_3_bn"}),
    (3, {"logits", "conv5_block3_3_conv", "conv5_block3_3_bn", "conv5_block3_2_conv", "conv5_block3_2_bn"}),
]


@pytest.mark.parametrize(("count", "layers"), LAST)
def test_last_layers_take_their_batch_norm_along(resnet, count, layers):
    (it,) = plan_of(resnet, "cifar100-last-layers", **{"phases.0.trainable.last_layers": count})
    assert it.trained == layers


@pytest.mark.parametrize("count", [8, 9, 25])
def test_every_batch_norm_goes_with_its_own_convolution(resnet, count):
    """In the order of Keras, a shortcut's convolution stands between another and its normalisation."""
    (it,) = plan_of(resnet, "cifar100-last-layers", **{"phases.0.trainable.last_layers": count})
    convolutions = {name.removesuffix("_conv") for name in it.trained if name.endswith("_conv")}
    assert {name.removesuffix("_bn") for name in it.trained if name.endswith("_bn")} == convolutions
    assert len(convolutions) == count - 1


def test_scales(small):
    changes = {"train.epochs_scale": 0.1, "train.learning_rate_scale": 2}
    (it,) = plan_of(small, "cifar10-finetune-first", "full", **changes)
    assert it.epochs == 1 and set(it.rates.values()) == {2e-4}


MOMENTA = [(1, 0.5), (10, 0.8), (100, 0.9)]


@pytest.mark.parametrize(("epochs", "momentum"), MOMENTA)
def test_batch_norm_momentum_keeps_up_with_the_phase(small, epochs, momentum):
    changes = {"phases.0.epochs": epochs}
    (it,) = plan_of(small, "cifar10-finetune-first", "full", **changes)
    assert set(it.momentum.values()) == {momentum}, "at most the layer's own 0.9"
    (it,) = plan_of(small, "cifar10-finetune-first", "full", **changes, **{"phases.0.batch_norm_momentum": 0.999})
    assert set(it.momentum.values()) == {0.999}


MISTAKES = [
    (
        {"phases.0.trainable": ["stage9"]},
        "phase 'all': trainable: the model has no group 'stage9'; did you mean 'stage",
    ),
    ({"phases.0.trainable": {"last_layers": 99}}, "last_layers: found 99; the model has 6 weight-bearing layers"),
    ({"phases.0.optimizer.learning_rate": {"head": 1, "stage9": 1}}, "learning_rate: the model has no group 'stage9'"),
    (
        {"phases.0.optimizer.learning_rate": {"head": 1}},
        "found rates for head; expected one for each group that learns: stem, ",
    ),
]


@pytest.mark.parametrize(("changes", "told"), MISTAKES)
def test_mistakes(small, changes, told):
    with pytest.raises(RecipeError) as caught:
        plan_of(small, "cifar10-finetune-first", "full", **changes)
    assert told in str(caught.value)


def test_folded_batch_norm_is_warned_of():
    """Such weights answer well until their BatchNorm is updated; a real file of this kind trained to chance."""
    model = build_model(ModelSpec("SmallCNN", "none", 32), (32, 32, 3), 4)
    built = model, layer_groups(model, "SmallCNN")
    fresh, _ = plan_of(built, "cifar10-finetune-first")
    assert fresh.warnings == ()
    model.get_layer("block2_bn").beta.assign(np.linspace(-1, 1, 32))
    updated, head = plan_of(built, "cifar10-finetune-first")
    assert "1 BatchNormalization layers (block2_bn, ...) were folded" in updated.warnings[0]
    assert f"warning: {updated.warnings[0]}" in describe([updated]) and head.warnings == ()
    assert plan_of(built, "cifar10-finetune-first", **{"phases.0.batch_norm": "freeze"})[0].warnings == ()
    model.get_layer("block2_bn").moving_mean.assign(np.linspace(-1, 1, 32))
    assert plan_of(built, "cifar10-finetune-first")[0].warnings == ()


def test_planning_touches_nothing(small):
    model, _ = small
    before = [w.copy() for w in model.get_weights()], [layer.trainable for layer in model.layers]
    plan_of(small, "cifar10-freeze-first")
    after = model.get_weights(), [layer.trainable for layer in model.layers]
    assert before[1] == after[1]
    for old, new in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(old, new)
