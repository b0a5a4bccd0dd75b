"""Precision: who computes in what, and how `auto` decides."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.model.cut import split
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.schema import ModelSpec
from kerastl.train import precision as module
from kerastl.train.fit import fit
from kerastl.train.plan import plan
from kerastl.train.precision import faster_precision, precision, set_precision

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def model():
    """Every test leaves it as it was."""
    keras.utils.set_random_seed(0)
    return build_model(ModelSpec("MobileNetV2", "glyphs", 48, options={"alpha": 0.35}), (32, 32, 3), 5)


@pytest.fixture(scope="module")
def small():
    return build_model(ModelSpec("SmallCNN", "none", 32), (32, 32, 3), 5)


@pytest.fixture(scope="module")
def larger():
    return build_model(ModelSpec("SmallCNN", "none", 64), (32, 32, 3), 5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_only_the_backbone_narrows(model, policy):
    before = model.predict(IMAGES, verbose=0)
    with precision(model, policy):
        for layer in model.layers:
            own = layer.name in ("image", "resize", "preprocess", "features", "logits", "probabilities")
            assert layer.compute_dtype == ("float32" if own else policy.removeprefix("mixed_")), layer.name
            assert layer.variable_dtype == "float32"
        narrow = keras.Model(model.input, model.output).predict(IMAGES, verbose=0)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert 0 < np.abs(narrow - before).max() < 0.05
    np.testing.assert_array_equal(keras.Model(model.input, model.output).predict(IMAGES, verbose=0), before)


def test_a_head_alone_stays_float32(model):
    _, tail = split(model, "features")
    set_precision(tail, "mixed_bfloat16")
    assert {layer.compute_dtype for layer in tail.layers} == {"float32"}


def test_a_file_is_float32_whatever_it_was_trained_in(tiny, tmp_path):
    """Two phases, the second in half precision with its loss scaled: the weights are finite and moved, the model is plain."""
    recipe = tiny(
        "cifar10-freeze-first",
        **{
            "train.precision": "mixed_bfloat16",
            "phases.1.precision": "mixed_float16",
            "phases.1.optimizer.learning_rate": 1e-3,
        },
    )
    data = load(recipe.data, 32)
    model = build_model(recipe.model, data.shape, 10)
    groups = layer_groups(model, "SmallCNN")
    plans = plan(model, groups, recipe, (48, 16))
    before = model.get_layer("block1_conv").get_weights()[0]
    done = fit(model, data, recipe, plans, groups, tmp_path)
    assert [it["precision"] for it in done] == ["mixed_bfloat16", "mixed_float16"]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.abs(model.get_layer("block1_conv").get_weights()[0] - before).max() > 0
    model.save(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in keras.models.load_model(tmp_path / "model.keras").layers} == {"float32"}


@pytest.mark.parametrize(("narrow", "chosen"), [(0.5, "mixed_bfloat16"), (0.95, "float32"), (2.0, "float32")])
def test_auto_takes_what_is_faster_by_a_tenth(small, larger, monkeypatch, narrow, chosen):
    asked = []

    def seconds(model, batch, training, policies):
        asked.append(policies)
        return {"float32": 1.0, "mixed_bfloat16": narrow}

    monkeypatch.setattr(module, "step_seconds", seconds)
    monkeypatch.setattr(module, "_device", lambda: "CPU")
    for _ in range(2):
        assert faster_precision("auto", small, IMAGES, training=True) == chosen
    assert asked == [("float32", "mixed_bfloat16")], "measured once"
    faster_precision("auto", small, IMAGES[:2], training=True)
    faster_precision("auto", small, IMAGES, training=False)
    faster_precision("auto", larger, IMAGES, training=True)
    assert len(asked) == 4, "another batch, no gradients or another size is another question"


def test_auto_really_measures_and_leaves_the_model_as_it_was(small, tmp_path):
    before = small.get_weights()
    assert faster_precision("auto", small, IMAGES, training=True) in ("float32", "mixed_bfloat16", "mixed_float16")
    assert all((old == new).all() for old, new in zip(before, small.get_weights(), strict=True)), "statistics too"
    (answers,) = json.loads(Path(module._file()).read_text()).values()
    assert answers.endswith(("32", "16"))


def test_a_damaged_answer_is_measured_again(small):
    module._file().parent.mkdir(parents=True)
    module._file().write_text("{")
    assert faster_precision("auto", small, IMAGES, training=False).endswith(("32", "16"))


def test_what_is_asked_for_is_not_measured(model, monkeypatch):
    monkeypatch.setattr(module, "step_seconds", lambda *_: pytest.fail("measured"))
    assert faster_precision("mixed_float16", model, IMAGES, training=True) == "mixed_float16"
