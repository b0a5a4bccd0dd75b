"""The frontier: how far nothing changes, in every kind of phase, and when caching there is worth it."""

import keras
import pytest

from kerastl.errors import RecipeError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.recipe import recipe
from kerastl.schema import ModelSpec
from kerastl.train.describe import describe
from kerastl.train.frontier import human_bytes
from kerastl.train.plan import plan

IMAGES = (1000, 100)


@pytest.fixture(scope="module")
def backbones():
    """ResNet-50, MobileNetV2 (dropout nowhere) and EfficientNet (dropout in its blocks), each with its groups."""
    built = {}
    for name in ("ResNet50", "MobileNetV2", "EfficientNetB0"):
        model = build_model(ModelSpec(name, "none", 64), (32, 32, 3), 10)
        built[name] = model, layer_groups(model, name)
    return built


def planned(built, strategy="full", images=IMAGES, **overrides):
    overrides = {key.replace("__", "."): value for key, value in overrides.items()}
    model, groups = built
    return plan(model, groups, recipe("cifar10-freeze-first", strategy, **overrides), images)


def phase(**changes):
    return {f"phases__0__{key}": value for key, value in changes.items()}


WHERE = [
    ("ResNet50", {"trainable": "head"}, "features", (2048,)),
    ("ResNet50", {"trainable": "all"}, None, ()),
    ("ResNet50", {"trainable": ["stage4", "head"]}, "conv4_block6_out", (4, 4, 1024)),
    ("ResNet50", {"trainable": {"last_layers": 2}}, "conv5_block2_out", (2, 2, 2048)),
    ("ResNet50", {"trainable": {"last_layers": 6}}, "conv5_block1_out", (2, 2, 2048)),
    ("ResNet50", {"trainable": ["stem", "head"]}, None, ()),
    ("MobileNetV2", {"trainable": ["stage4", "head"]}, "block_12_add", (4, 4, 96)),
    ("EfficientNetB0", {"trainable": "head"}, "features", (1280,)),
    ("EfficientNetB0", {"trainable": ["stage4", "head"]}, "block5c_add", (4, 4, 112)),
]


@pytest.mark.parametrize(("backbone", "changes", "layer", "shape"), WHERE)
def test_where_it_lies(backbones, backbone, changes, layer, shape):
    frontier = planned(backbones[backbone], **phase(**changes, epochs=10))[0].frontier
    assert frontier.layer == layer
    assert frontier.cached == (layer is not None)
    assert frontier.shape == shape


def test_dropout_of_frozen_groups_is_quiet_and_of_trained_ones_is_not(backbones):
    model, groups = backbones["EfficientNetB0"]
    drops = {layer.name for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert len(drops) > 5
    head = planned(backbones["EfficientNetB0"], **phase(trainable="head"))[0]
    assert set(head.quiet) == drops
    upper = planned(backbones["EfficientNetB0"], **phase(trainable=["stage4", "head"]))[0]
    assert drops - set(upper.quiet) == drops & {layer.name for layer in groups["stage4"]} != set()
    assert planned(backbones["EfficientNetB0"], **phase(trainable="all"))[0].quiet == ()


def test_dropout_of_the_head_lies_behind_the_frontier():
    model = build_model(recipe("cifar100-mlp-head", **{"model.weights": "none"}).model, (32, 32, 3), 10)
    groups = layer_groups(model, "ResNet50")
    frontier = planned((model, groups), **phase(trainable="head", epochs=10))[0].frontier
    assert frontier.layer == "features"


WHY_NOT = [
    ({"augment__flip": "horizontal"}, ""),
    ({"augment__rotation": 20.0}, ""),
    ({"augment__flip": "horizontal", "train__views": 0}, "augmentation draws new images every epoch"),
    ({"augment__flip": "horizontal", "phases__0__epochs": 3}, "augmentation draws new images every epoch"),
    ({"augment__flip": "horizontal", "train__views": 20}, ""),
    ({"augment__rotation": 20.0, "train__views": 20}, "it would not pay"),
    ({"augment__mixup": 0.2}, "mixup and cutmix mix pixels"),
    ({"augment__mixup": 0.2, "augment__mix_in": "features"}, ""),
    ({"train__cache_budget__disk": 0}, "cache_budget.disk is 0"),
    ({"train__cache_budget__disk": 1000}, "exceed train.cache_budget.disk = 1.0 kB"),
    ({"phases__0__epochs": 1}, "it would not pay: 1.00 times"),
    ({"phases__0__epochs": 1, "data__repeat": 4}, ""),
]


@pytest.mark.parametrize(("changes", "why"), WHY_NOT)
def test_why_not(backbones, changes, why):
    changes = {**phase(trainable="head", epochs=20), **changes}
    (it,) = planned(backbones["MobileNetV2"], **changes)
    assert why in it.frontier.why_not and it.frontier.cached == (not why)
    assert f"cache: none; {it.frontier.why_not}" in describe([it]) or "cache: up to features (1280)" in describe([it])


def test_cutmix_needs_places(backbones):
    with pytest.raises(RecipeError, match=r"cutmix needs features with places .*shape \(1280,\)"):
        planned(
            backbones["MobileNetV2"],
            augment__cutmix=1.0,
            augment__mix_in="features",
            **phase(trainable="head", epochs=9),
        )


def test_bytes_and_gain_in_closed_form(backbones):
    """The head alone costs nothing beside the trunk: twenty epochs cost as much as one."""
    changes = {"train__cache_dtype": "float16", "augment__flip": "horizontal", "train__views": 2}
    (it,) = planned(backbones["ResNet50"], **phase(trainable="head", epochs=20), **changes)
    assert it.frontier.bytes == (2 * 1000 + 100) * 2048 * 2 and it.frontier.views == 2
    assert it.frontier.gain == pytest.approx(20 * 1100 / 2100, rel=0.01)


@pytest.mark.parametrize(
    ("augment", "epochs", "room", "views"),
    [
        ({"flip": "horizontal"}, 20, 1e9, 2),
        ({"flip": "both"}, 20, 1e9, 4),
        ({"flip": "both"}, 6, 1e9, 3),
        ({"rotation": 20.0}, 8, 1e9, 4),
        ({"rotation": 20.0}, 100, 1e9, 10),
        ({"rotation": 20.0}, 100, 1280 * 4 * (3 * 1000 + 100), 3),
    ],
)
def test_as_many_views_as_the_epochs_can_use_and_the_budget_holds(backbones, augment, epochs, room, views):
    changes = {f"augment__{name}": value for name, value in augment.items()} | {"train__cache_budget__disk": room}
    (it,) = planned(backbones["MobileNetV2"], **phase(trainable="head", epochs=epochs), **changes)
    assert it.frontier.views == views and it.frontier.cached


def test_an_epoch_sees_one_view_so_no_more_are_kept(backbones):
    changes = {"augment__rotation": 20.0, "train__views": 5}
    assert planned(backbones["ResNet50"], **phase(trainable="head", epochs=3), **changes)[0].frontier.views == 3


def test_a_later_phase_that_needs_an_earlier_place_is_on_the_way(backbones):
    head, upper = planned(
        backbones["ResNet50"], "freeze-first", **{"phases__1__trainable": ["stage4", "head"], "phases__1__epochs": 4}
    )
    assert head.frontier.via == upper.frontier.layer == "conv4_block6_out" and upper.frontier.via is None
    assert "by way of conv4_block6_out" in describe([head])


def test_not_where_what_lies_before_it_learns_in_between(backbones):
    sgd = {"name": "sgd", "learning_rate": 0.1}
    trained = {"head": "head", "between": "all", "upper": ["stage4", "head"]}
    phases = [{"name": n, "trainable": it, "epochs": 4, "optimizer": sgd} for n, it in trained.items()]
    plans = planned(backbones["ResNet50"], None, phases=phases)
    assert [it.frontier.cached for it in plans] == [True, False, True]
    assert plans[0].frontier.via is None


def test_what_is_on_the_way_anyway_makes_a_short_phase_pay(backbones):
    """Two epochs with two views would not pay alone; beside a later phase that needs the same views, only the rest counts."""
    views = {"augment__flip": "horizontal", "train__views": 2, "phases__0__epochs": 2, "phases__1__epochs": 8}
    alone, _ = planned(backbones["ResNet50"], "freeze-first", **views)
    assert not alone.frontier.cached and "it would not pay" in alone.frontier.why_not
    head, _ = planned(backbones["ResNet50"], "freeze-first", **views, phases__1__trainable=["stage4", "head"])
    assert head.frontier.cached and head.frontier.via == "conv4_block6_out"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1310, "1.3 kB"), (2.5e9, "2.5 GB")])
def test_bytes_for_people(count, text):
    assert human_bytes(count) == text
