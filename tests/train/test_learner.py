"""What learns in a phase: the tail on features gives what the whole model on pixels gives."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.errors import KerastlWarning
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.schema import AugmentSpec
from kerastl.train import features
from kerastl.train.fit import fit
from kerastl.train.history import read_history
from kerastl.train.learner import make_learner, quieted
from kerastl.train.plan import plan
from kerastl.train.steps import phase_batches
from kerastl.train.store import StoredRows, root

# Pretrained: its features say something, and its BatchNorm statistics give folding something to do.
MOBILE = {
    "model.backbone": "MobileNetV2",
    "model.weights": "glyphs",
    "model.image_size": 48,
    "model.options": {"alpha": 0.35},
}


@pytest.fixture(scope="module")
def digits(tiny):
    return load(tiny().data, 32)


def prepared(recipe, data):
    keras.utils.set_random_seed(recipe.seed)
    model = build_model(recipe.model, data.shape, len(data.class_names))
    groups = layer_groups(model, recipe.model.backbone)
    return model, groups, plan(model, groups, recipe, (len(data.train), len(data.validation or ())))


def fitted(recipe, data, folder):
    model, groups, plans = prepared(recipe, data)
    done = fit(model, data, recipe, plans, groups, folder)
    return model, read_history(folder / "history.csv"), plans, done


PHASES = [
    pytest.param({"trainable": "head"}, "features", marks=pytest.mark.slow),
    pytest.param({"trainable": ["stage4", "head"]}, "block_12_add", marks=pytest.mark.slow),
    ({"trainable": {"last_layers": 3}}, "block_16_depthwise_relu"),
]


@pytest.mark.parametrize(("changes", "layer"), PHASES)
def test_with_and_without_the_cache_alike(tiny, digits, tmp_path, changes, layer):
    """The same phase: the same loss curve and the same weights, to float tolerance."""
    changes = {f"phases.0.{key}": value for key, value in changes.items()}
    changes |= {"phases.0.epochs": 3, "phases.0.optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}}
    results = {}
    for disk in (20e9, 0):
        recipe = tiny(
            strategy="full", **MOBILE, **changes, **{"train.epochs_scale": 1.0, "train.cache_budget.disk": disk}
        )
        results[disk] = fitted(recipe, digits, tmp_path / str(disk))
    (cached, with_cache, (it,), _), (plain, without, _, _) = results.values()
    assert it.frontier.layer == layer and it.frontier.cached and list(root().rglob("*.npy"))
    for one, other in zip(with_cache, without, strict=True):
        for column in ("loss", "val_loss"):
            assert one[column] == pytest.approx(other[column], rel=1e-3)
        for column in ("accuracy", "val_accuracy"):
            assert one[column] == pytest.approx(other[column], abs=1 / 48 + 1e-6)
    for one, other in zip(cached.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-3)
    moved = (
        cached.get_layer("logits").get_weights()[0] - prepared(recipe, digits)[0].get_layer("logits").get_weights()[0]
    )
    assert np.abs(moved).max() > 0.01, "there was something to agree on"


def test_a_second_run_computes_nothing(tiny, digits, tmp_path, monkeypatch):
    recipe = tiny(strategy="head-only", **{"phases.0.epochs": 3, "train.epochs_scale": 1.0})
    first = fitted(recipe, digits, tmp_path / "one")
    monkeypatch.setattr(features, "trunk_function", lambda *_: pytest.fail("the trunk was run again"))
    second = fitted(recipe, digits, tmp_path / "two")
    assert [row["loss"] for row in first[1]] == [row["loss"] for row in second[1]]


def test_views_take_turns(tiny, digits, tmp_path):
    recipe = tiny(
        strategy="head-only",
        **{"phases.0.epochs": 4, "train.epochs_scale": 1.0, "augment.rotation": 20, "train.views": 2},
    )
    model, _, (it,) = prepared(recipe, digits)
    learner = make_learner(model, digits, recipe, it, seed=0)
    assert learner.views == 2 and len(learner.train) == 96 and len(learner.validation) == 16
    assert learner.train.labels[:48].tolist() == learner.train.labels[48:].tolist() == digits.train.labels.tolist()
    assert learner.augment.rotation == 0
    _, rows, _, _ = fitted(recipe, digits, tmp_path)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_features_on_disk_train_like_features_in_memory(tiny, digits, tmp_path):
    changes = {"phases.0.epochs": 3, "train.epochs_scale": 1.0}
    recipe = tiny(strategy="head-only", **changes, **{"train.cache_budget.ram": 10})
    model, _, (it,) = prepared(recipe, digits)
    assert isinstance(make_learner(model, digits, recipe, it, seed=0).train.pixels, StoredRows)
    from_disk = fitted(recipe, digits, tmp_path / "disk")
    in_memory = fitted(tiny(strategy="head-only", **changes), digits, tmp_path / "memory")
    assert [row["loss"] for row in from_disk[1]] == pytest.approx([row["loss"] for row in in_memory[1]])


def test_mixup_in_features(tiny, digits):
    changes = {"augment.mixup": 0.4, "augment.mix_in": "features", "phases.0.epochs": 3, "train.epochs_scale": 1.0}
    recipe = tiny(strategy="head-only", **changes)
    model, _, (it,) = prepared(recipe, digits)
    learner = make_learner(model, digits, recipe, it, seed=0)
    unmixed = replace(learner, augment=AugmentSpec())
    plain, mixed = (next(iter(phase_batches(one, digits, recipe, it, 0)[0])) for one in (unmixed, learner))
    assert mixed[0].shape == plain[0].shape == (24, 512)
    share = np.max(mixed[1], axis=1)
    assert np.all(np.max(plain[1], axis=1) == 1) and ((share > 0.5) & (share < 0.999)).sum() > 5
    # The features of a mixed pair lie where its targets say.
    targets, rows = np.asarray(plain[1]), np.asarray(plain[0])
    weights = np.linalg.lstsq(rows.T, np.asarray(mixed[0]).T, rcond=None)[0].T
    np.testing.assert_allclose(weights @ targets, mixed[1], atol=1e-2)


def test_no_room_trains_all_the_same(tiny, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "make_room", lambda *_: "the disk is full")
    recipe = tiny(strategy="head-only", **{"phases.0.epochs": 3, "train.epochs_scale": 1.0})
    with pytest.warns(KerastlWarning, match="features are not cached: the disk is full"):
        _, rows, _, _ = fitted(recipe, digits, tmp_path)
    assert len(rows) == 3


def test_dropout_is_quiet_only_as_long_as_it_has_to():
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dropout(0.5, name="drop")(image))
    ones = np.ones((2, 4), "float32")
    with quieted(model, ["drop"]):
        np.testing.assert_array_equal(model(ones, training=True), ones)
    assert model.get_layer("drop").rate == 0.5
    assert not np.array_equal(model(ones, training=True), ones)


def test_a_phase_at_another_size(tiny, digits, tmp_path):
    """Small images first: the model that comes out has its own size, and learned at both."""
    sgd = {"name": "sgd", "learning_rate": 0.05}
    phases = [
        {"name": "small", "trainable": "all", "epochs": 1, "optimizer": sgd, "image_size": 32},
        {"name": "large", "trainable": "head", "epochs": 2, "optimizer": sgd},
    ]
    recipe = tiny(phases=phases, **{"model.image_size": 64, "train.epochs_scale": 1.0})
    before = prepared(recipe, digits)[0]
    model, rows, plans, _ = fitted(recipe, digits, tmp_path)
    assert model.get_layer("resize").height == 64 and model.output_shape == (None, 10)
    first = "block1_conv"
    assert np.abs(model.get_layer(first).get_weights()[0] - before.get_layer(first).get_weights()[0]).max() > 0
    assert plans[1].frontier.shape == (512,) and len(rows) == 3
    scores = model.evaluate(
        digits.validation.pixels, keras.utils.to_categorical(digits.validation.labels, 10), verbose=0
    )
    assert scores[0] == pytest.approx(rows[-1]["val_loss"], rel=1e-3), "left compiled, and ready to be used"
