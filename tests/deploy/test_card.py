"""The model card: Hugging Face's own parser reads it, its numbers are the run's, and its three lines load the model."""

import copy
import json
import re

import numpy as np
import pytest
from huggingface_hub import ModelCard

from kerastl.data.load import load
from kerastl.deploy.card import CARD, DATASETS, LOADING, licenses, write_card
from kerastl.deploy.export import FORMATS
from kerastl.model.backbones import TABLE

# Identifiers of https://huggingface.co/docs/hub/repositories-licenses.
KNOWN = {"mit", "apache-2.0", "cc-by-4.0", "bsd-3-clause", ""}


@pytest.fixture(scope="module")
def card(finished):
    return ModelCard.load(finished.exports / CARD)


def test_hugging_face_reads_it(finished, card):
    data, test = card.data, finished.metrics["test"]
    assert data.library_name == "keras" and data.pipeline_tag == "image-classification"
    assert "kerastl" in data.tags and data.metrics == ["accuracy"] and data.model_name == "cifar10-finetune-first"
    results = {it.metric_type: it for it in data.eval_results}
    assert results["accuracy"].metric_value == test["accuracy"]
    assert results["loss"].metric_value == pytest.approx(test["loss"], rel=1e-5)
    assert {(it.task_type, it.dataset_split) for it in data.eval_results} == {("image-classification", "test")}
    assert results["accuracy"].dataset_name == "Optical Recognition of Handwritten Digits"
    assert data.license == "cc-by-4.0", "random weights on the digits of UCI"
    assert ModelCard(f"---\n{data.to_yaml()}\n---\n").data.to_dict() == data.to_dict()


def test_it_says_what_was_tested_and_on_what(finished, card):
    test, interval = finished.metrics["test"], finished.metrics["test"]["interval"]
    told = card.text
    assert f"**{100 * test['accuracy']:.1f}%** of {test['n']} test images" in told
    assert f"{100 * interval[0]:.1f}% to {100 * interval[1]:.1f}%" in told and "(n, 8, 8, 3)" in told
    for heading in ("How to load it", "What it is for", "How it was trained", "How good it is", "Limits", "Licenses"):
        assert f"\n## {heading}\n" in told
    for phase in finished.metrics["plan"]:
        assert f"| {phase['name']} | " in told
    assert "/" not in re.search("first weights: (.*)", told)[1], "no folder of whoever trained it"


def test_its_three_lines_load_the_model(finished, card, monkeypatch):
    images = load(finished.recipe.data, 32).test.pixels[:5]
    expected = finished.model.predict(images, verbose=0)
    monkeypatch.chdir(finished.exports)
    blocks = re.findall("```python\n(.*?)```", card.text, re.DOTALL)
    assert len(blocks) == len(finished.metrics["exports"])
    for block in blocks:
        assert len(block.splitlines()) == 3 and "kerastl" not in block
        names = {"images": images}
        exec(block, names)
        np.testing.assert_allclose(names["probabilities"], expected, atol=1e-5)


def written(finished, folder, beside=1.5, **changes):
    """The card of the run with some of its metrics changed."""
    metrics = copy.deepcopy(finished.metrics)
    for dotted, value in changes.items():
        *way, last = dotted.split(".")
        table = metrics
        for step in way:
            table = table[step]
        table[last] = value
    labels = json.loads((finished.exports / "labels.json").read_text()) | {"temperature": beside}
    (folder / "labels.json").write_text(json.dumps({key: it for key, it in labels.items() if it}))
    write_card(folder, finished.model, metrics, metrics["exports"])
    return ModelCard.load(folder / CARD)


@pytest.mark.parametrize(("recipe", "license", "named", "datasets"), [
    ({"data.name": "cifar10", "model.weights": "imagenet", "model.backbone": "ResNet50"}, "unknown", None, ["uoft-cs/cifar10"]),
    ({"data.name": "cifar100", "model.weights": "none"}, "unknown", None, ["uoft-cs/cifar100"]),
    ({"data.name": "digits", "model.weights": "glyphs"}, "other", "cc-by-4.0-and-mit", None),
    ({"data.name": "digits", "model.weights": "imagenet", "model.backbone": "VGG16"}, "cc-by-4.0", None, None),
    ({"data.name": "folder:/home/me/my: photos", "model.weights": "/home/me/own.weights.h5"}, "unknown", None, None),
    ({"data.name": "tfds:flowers", "model.weights": "imagenet", "model.backbone": "hub:hf://timm/x"}, "unknown", None, None),
])  # fmt: skip
def test_licenses_and_names_are_said_where_they_are_known(finished, tmp_path, recipe, license, named, datasets):
    data = written(finished, tmp_path, **{f"recipe.{key}": value for key, value in recipe.items()}).data
    assert (data.license, data.get("license_name"), data.datasets) == (license, named, datasets)
    assert data.base_model == ("timm/x" if "hf://" in recipe.get("model.backbone", "") else None)
    assert "/home/me" not in (tmp_path / CARD).read_text()


def test_judged_as_the_file_answers_not_as_the_run_did(finished, tmp_path):
    plain, sure = (
        {"accuracy": 0.25, "interval": [0.2, 0.3], "loss": 2.0},
        {"ece": 0.125, "ece_interval": [0.1, 0.2], "nll": 2.0},
    )
    changes = {"test.without_flip": plain, "recipe.evaluate.flip": True, "temperature": {"value": 1.5}}
    changes["test.calibration"] = {**sure, "tempered": {**sure, "ece": 0.0625, "nll": 1.75}}
    card = written(finished, tmp_path, **changes)
    assert {it.metric_value for it in card.data.eval_results} == {0.25, 2.0} and "**25.0%**" in card.text
    assert "calibration error 12.5% (10.0% to 20.0%)" in card.text and "temperature 1.5" in card.text
    inside = written(finished, tmp_path, beside=None, **changes)
    assert {it.metric_value for it in inside.data.eval_results} == {0.25, 1.75}
    assert "calibration error 6.2%" in inside.text and "temperature" not in inside.text


def test_a_run_without_a_test_score_claims_none(finished, tmp_path):
    card = written(finished, tmp_path, test=None)
    assert card.data.eval_results is None and "How good it is" not in card.text
    assert "on no test images" in card.text


def test_every_format_has_its_lines():
    assert set(FORMATS) <= set(LOADING)


def test_licenses_are_known_ones():
    assert {row.license for row in TABLE.values()} | {row[2] for row in DATASETS.values()} <= KNOWN
    assert licenses({"data": {"name": "x"}, "model": {"backbone": "y", "weights": "none"}}) == {"data": ""}
