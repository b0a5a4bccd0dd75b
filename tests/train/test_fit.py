"""Phases: who moves and how far, what batch normalisation does, and with which weights a phase ends."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.data.images import Images
from kerastl.data.load import load
from kerastl.data.split import Data
from kerastl.errors import RecipeError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train import fit as phases
from kerastl.train import steps
from kerastl.train.fit import fit
from kerastl.train.history import COLUMNS, read_history
from kerastl.train.plan import is_batch_norm, plan


@pytest.fixture(scope="module")
def digits(tiny):
    return load(tiny().data, 32)


def trained(recipe, data, folder, model=None):
    """Build, plan and fit; gives the model, its weights before, and the summaries of the phases."""
    keras.utils.set_random_seed(recipe.seed)
    model = model or build_model(recipe.model, data.shape, len(data.class_names))
    groups = layer_groups(model, recipe.model.backbone)
    plans = plan(model, groups, recipe, (len(data.train), len(data.validation or ())))
    before = {layer.name: [w.copy() for w in layer.get_weights()] for layer in model.layers}
    return model, before, fit(model, data, recipe, plans, groups, folder)


def moved(model, before):
    """The names of the layers of which any weight changed."""
    return {
        layer.name
        for layer in model.layers
        if any((old != new).any() for old, new in zip(before[layer.name], layer.get_weights(), strict=True))
    }


ALL = {f"block{i}_{kind}" for i in range(1, 6) for kind in ("conv", "bn")} | {"logits"}
WHO_MOVES = [
    ({"phases.0.trainable": "all"}, ALL),
    (
        {"phases.0.trainable": "all", "phases.0.batch_norm": "freeze"},
        {name for name in ALL if not name.endswith("_bn")},
    ),
    ({"phases.0.trainable": "head"}, {"logits"}),
    ({"phases.0.trainable": ["stage4", "head"]}, {"block5_conv", "block5_bn", "logits"}),
    ({"phases.0.trainable": {"last_layers": 2}}, {"block5_conv", "block5_bn", "logits"}),
]


@pytest.mark.parametrize(("changes", "layers"), WHO_MOVES)
def test_only_what_is_planned_moves(tiny, digits, tmp_path, changes, layers):
    """Frozen layers, frozen BatchNorm and its statistics not by one bit."""
    model, before, _ = trained(tiny(strategy="full", **changes), digits, tmp_path)
    assert moved(model, before) == layers


def test_each_group_moves_by_its_own_rate(tiny, digits, tmp_path):
    """One step of plain SGD moves a weight by rate x gradient, so twice the rate is twice the way."""
    rates = {"stem": 0.001, "stage1": 0.002, "stage2": 0.004, "stage3": 0.008, "stage4": 0.016, "head": 0.032}

    def ways(learning_rate, folder):
        changes = {
            "phases.0.optimizer": {"name": "sgd", "learning_rate": learning_rate},
            "phases.0.schedule": {"name": "constant"},
        }
        recipe = tiny(strategy="full", **{"train.batch_size": 64}, **changes)
        model, before, (done,) = trained(recipe, digits, folder)
        assert done["steps"] == 1
        groups = layer_groups(model, "SmallCNN")
        return {
            name: [
                new - old
                for layer in layers
                if not is_batch_norm(layer)
                for old, new in zip(before[layer.name], layer.get_weights(), strict=True)
            ]
            for name, layers in groups.items()
        }

    alike, own = ways(0.001, tmp_path / "alike"), ways(rates, tmp_path / "own")
    for group, rate in rates.items():
        for one, other in zip(alike[group], own[group], strict=True):
            np.testing.assert_allclose(other, one * (rate / 0.001), rtol=0.02, atol=2e-7)
            assert np.abs(one).max() > 0


def test_momentum_of_batch_norm_is_mended(digits, tiny, tmp_path):
    """The trap of keras.applications' MobileNets: with 0.999 the statistics lag behind, and validation stays at chance."""
    changes = {
        "data.limit": 1200,
        "phases.0.epochs": 3,
        "train.epochs_scale": 1.0,
        "phases.0.optimizer.learning_rate": 3e-3,
    }
    data, scores = load(tiny(**{"data.limit": 1200}).data, 32), {}
    for momentum in (0.999, "auto"):
        case = tiny(strategy="full", **changes, **{"phases.0.batch_norm_momentum": momentum})
        model = build_model(case.model, data.shape, 10)
        for layer in filter(is_batch_norm, model.layers):
            layer.momentum = 0.999
        trained(case, data, tmp_path / str(momentum), model)
        scores[momentum] = read_history(tmp_path / str(momentum) / "history.csv")[-1]
    assert scores[0.999]["accuracy"] > 0.7 and scores[0.999]["val_accuracy"] < 0.5, (
        "the trap is still there to be mended"
    )
    assert scores["auto"]["val_accuracy"] > 0.7


def test_phases_of_one_model_follow_each_other(tiny, digits, tmp_path):
    """Freezing after fine-tuning takes hold: Keras ignores it silently unless the model is compiled anew."""
    recipe = tiny("cifar10-finetune-first", **{"phases.0.optimizer.learning_rate": 1e-3, "train.epochs_scale": 0.5})
    model, _, done = trained(recipe, digits, tmp_path)
    assert [it["name"] for it in done] == ["fine-tune", "head"]
    assert [it["epochs"] for it in done] == [1, 2]
    assert [v.path for v in model.trainable_variables] == ["logits/kernel", "logits/bias"]
    rows = read_history(tmp_path / "history.csv")
    assert [(row["phase"], row["epoch"]) for row in rows] == [("fine-tune", 1), ("head", 1), ("head", 2)]


@pytest.mark.parametrize("call", [10**5, 5 * 10**5, 10**12])
def test_as_many_steps_as_planned_however_many_are_run_at_a_time(tiny, digits, tmp_path, monkeypatch, call):
    """48 images in batches of 7 are 7 steps: a prime number, that only 1 and 7 divide."""
    monkeypatch.setattr(steps, "CALL", call)
    recipe = tiny(strategy="head-only", **{"train.batch_size": 7, "phases.0.epochs": 3, "train.epochs_scale": 1.0})
    taken = []
    monkeypatch.setattr(phases, "_give_back", lambda learner, *_: taken.append(int(learner.model.optimizer.iterations)))
    _, _, (done,) = trained(recipe, digits, tmp_path)
    assert taken == [21] and done["steps"] == 21
    assert len(read_history(tmp_path / "history.csv")) == 3


def test_steps_compiled_with_xla(tiny, digits, tmp_path):
    """To 64 XLA resizes right; the curve is that of plain steps."""
    sgd = {"name": "sgd", "learning_rate": 0.01}
    losses = []
    for jit in (True, False):
        changes = {"train.jit_compile": jit, "model.image_size": 64, "phases.0.optimizer": sgd}
        trained(tiny(strategy="full", **changes), digits, tmp_path / str(jit))
        losses.append(read_history(tmp_path / str(jit) / "history.csv")[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="the fault was found on the CPU")
def test_xla_that_resizes_wrongly_is_refused(tiny, digits, tmp_path):
    """Digits are 8 pixels wide; 56 is seven times that. When this fails, XLA has been mended: the check can go."""
    changes = {"train.jit_compile": True, "model.image_size": 56}
    with pytest.raises(RecipeError, match=r"train.jit_compile: .* XLA resizes \(8, 8\) to \(56, 56\) wrongly"):
        trained(tiny(strategy="full", **changes), digits, tmp_path)


def test_history_has_a_row_an_epoch_with_all_rates(tiny, digits, tmp_path):
    rates = {"stage4": 0.01, "head": 0.1}
    changes = {"phases.0.trainable": ["stage4", "head"], "phases.0.optimizer": {"name": "sgd", "learning_rate": rates}}
    recipe = tiny(
        strategy="full",
        **changes,
        **{"phases.0.schedule": {"name": "cosine"}, "phases.0.epochs": 2, "train.epochs_scale": 1.0},
    )
    trained(recipe, digits, tmp_path)
    with (tmp_path / "history.csv").open() as file:
        header = next(csv.reader(file))
    assert header == [*COLUMNS, "lr_stem", "lr_stage1", "lr_stage2", "lr_stage3", "lr_stage4", "lr_head"]
    first, second = read_history(tmp_path / "history.csv")
    assert first["lr_stem"] is None
    assert first["lr_head"] == pytest.approx(0.05) and first["lr_stage4"] == pytest.approx(0.005)
    assert second["lr_head"] == pytest.approx(0, abs=1e-8)
    assert all(row[name] > 0 for row in (first, second) for name in ("loss", "val_loss", "seconds"))
    assert list((tmp_path / "logs").rglob("events*")), "TensorBoard logs"


def test_the_best_epoch_is_what_a_phase_ends_with(tiny, digits, tmp_path):
    """A rate that destroys the model after a good start: with keep_best, validation ends where it was best."""
    schedule = {"phases.0.optimizer": {"name": "sgd", "learning_rate": 0.3}, "phases.0.schedule": {"name": "constant"}}
    recipe = tiny(
        strategy="full", **schedule, **{"phases.0.epochs": 6, "phases.0.keep_best": True, "train.epochs_scale": 1.0}
    )
    model, _, (done,) = trained(recipe, digits, tmp_path)
    rows = read_history(tmp_path / "history.csv")
    losses = [row["val_loss"] for row in rows]
    assert done["best_epoch"] == int(np.argmin(losses)) + 1 and done["epochs"] == 6
    targets = keras.utils.to_categorical(digits.validation.labels, 10)
    loss, _ = model.evaluate(digits.validation.pixels, targets, verbose=0)
    assert loss == pytest.approx(min(losses), rel=1e-4)


def test_early_stopping_ends_a_phase_and_keeps_its_best(tiny, digits, tmp_path):
    changes = {
        "phases.0.early_stopping": {"patience": 2},
        "phases.0.optimizer.learning_rate": 1e-12,
        "phases.0.batch_norm": "freeze",
    }
    recipe = tiny(strategy="full", **changes, **{"phases.0.epochs": 30, "train.epochs_scale": 1.0})
    _, _, (done,) = trained(recipe, digits, tmp_path)
    assert done["epochs"] < 30 and done["epochs"] - done["best_epoch"] == 2


def test_moving_average_of_the_weights(tiny, digits, tmp_path):
    """After training, the model holds the average, which is not where plain training ends."""
    ends = {}
    for ema in (0.0, 0.9):
        changes = {
            "phases.0.optimizer": {"name": "sgd", "learning_rate": 0.05, "ema": ema},
            "phases.0.schedule": {"name": "constant"},
        }
        recipe = tiny(
            strategy="full",
            **changes,
            **{"phases.0.epochs": 3, "train.epochs_scale": 1.0, "phases.0.batch_norm": "freeze"},
        )
        model, before, _ = trained(recipe, digits, tmp_path / str(ema))
        ends[ema] = np.abs(model.get_layer("logits").get_weights()[0] - before["logits"][0]).mean()
    assert 0 < ends[0.9] < 0.8 * ends[0.0], "the average lags behind"


def test_class_weights_make_a_rare_class_count(tiny, tmp_path):
    random = np.random.default_rng(0)
    labels = np.array([0] * 90 + [1] * 10)
    data = Data(
        Images(random.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8), labels),
        None,
        Images(np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, int)),
        ("a", "b"),
    )
    shares = {}
    for weights in ("none", "balanced"):
        changes = {
            "train.class_weights": weights,
            "phases.0.trainable": "head",
            "phases.0.optimizer.learning_rate": 0.01,
            "data.validation": 0.0,
        }
        model, _, _ = trained(
            tiny(strategy="full", **changes, **{"phases.0.epochs": 20, "train.epochs_scale": 1.0}),
            data,
            tmp_path / weights,
        )
        shares[weights] = model.predict(data.train.pixels, verbose=0)[:, 1].mean()
    assert shares["balanced"] > 1.5 * shares["none"]


def test_the_same_recipe_gives_the_same_history(tiny, digits, tmp_path):
    recipe = tiny(strategy="full", **{"augment.flip": "horizontal", "augment.mixup": 0.5, "model.head.dropout": 0.2})
    for name in ("one", "two"):
        trained(recipe, digits, tmp_path / name)
    one, two = (read_history(tmp_path / name / "history.csv")[0] for name in ("one", "two"))
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert one[column] == pytest.approx(two[column], rel=1e-4)
