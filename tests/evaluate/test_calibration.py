"""Calibration against scikit-learn, closed forms, and models whose truth is known."""

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from small import TEMPERATURE

from kerastl.deploy.classifier import open_model
from kerastl.evaluate.calibration import THRESHOLDS, calibration, coverage, fit_temperature, with_temperature
from kerastl.evaluate.metrics import judge
from kerastl.evaluate.statistics import accuracy_interval
from kerastl.tables import calibration_told


def drawn(n, classes=10, factor=1.0, seed=0):
    """Probabilities, and labels drawn from them; then the logits times a factor."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet(np.full(classes, 0.3), n)
    labels = (honest.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return with_temperature(honest, 1 / factor), labels


def test_the_error_is_that_of_scikit_learn_s_curve():
    probabilities, labels = drawn(3000, factor=2.0)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    found = calibration(probabilities, labels)
    accuracy, mean_confidence = calibration_curve(right, confidence, n_bins=15)
    filled = [it for it in found["bins"] if it["n"]]
    assert [it["accuracy"] for it in filled] == pytest.approx(accuracy.tolist())
    assert [it["confidence"] for it in filled] == pytest.approx(mean_confidence.tolist(), rel=1e-5)
    weights = np.array([it["n"] for it in filled]) / 3000
    assert found["ece"] == pytest.approx((weights * np.abs(accuracy - mean_confidence)).sum(), rel=1e-4)
    assert sum(weights) == pytest.approx(1)


def test_bins_counted_by_hand():
    """An edge belongs to the bin below; a bin without images has no means."""
    probabilities = np.array([[1.0, 0.0], [0.6, 0.4], [0.35, 0.65], [0.9, 0.1]])
    found = calibration(probabilities, np.array([0, 0, 0, 1]))
    counts = {place: it["n"] for place, it in enumerate(found["bins"]) if it["n"]}
    assert counts == {8: 1, 9: 1, 13: 1, 14: 1}, "0.6 = 9 / 15 is the upper edge of the ninth bin"
    assert found["bins"][0] == {"low": 0.0, "high": 1 / 15, "n": 0, "confidence": None, "accuracy": None}
    assert found["ece"] == pytest.approx((0 + 0.4 + 0.65 + 0.9) / 4)


def test_of_one_image_all_numbers_are_there():
    found = calibration(np.array([[0.75, 0.25]]), np.array([0]))
    assert (found["ece"], found["ece_interval"]) == (0.25, (0.0, 0.25))


def test_brier_and_likelihood():
    probabilities, labels = drawn(500, classes=2)
    found = calibration(probabilities, labels)
    assert found["brier"] == pytest.approx(2 * brier_score_loss(labels, probabilities[:, 1]), rel=1e-5)
    assert found["nll"] == pytest.approx(judge(probabilities, labels, ("cat", "dog")).loss, rel=1e-5)
    uniform = calibration(np.full((8, 4), 0.25), np.arange(8) % 4)
    assert (uniform["brier"], uniform["ece"]) == (pytest.approx(0.75), pytest.approx(0))
    assert uniform["nll"] == pytest.approx(np.log(4))


@pytest.mark.parametrize("off", [0.0, 0.1])
def test_the_interval_of_the_error_holds_the_truth(off):
    """Of a model that is too sure by `off` everywhere, whose error is therefore `off`."""
    random, held = np.random.default_rng(0), []
    for seed in range(60):
        confidence = random.uniform(0.5, 1, 250)
        right = random.random(250) < confidence - off
        found = calibration(np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1), seed)
        low, high = found["ece_interval"]
        assert 0 <= low <= found["ece"] <= high
        held.append(low <= off <= high)
    assert np.mean(held) > 0.9


@pytest.mark.parametrize("factor", [0.25, 1.0, 1.7, 5.0])
def test_the_temperature_is_the_factor_of_the_logits(factor):
    """Labels as frequent as calibrated probabilities say, to the image: then no other temperature is as likely."""
    honest = np.repeat([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]], 100, axis=0)
    labels = np.repeat([0, 1, 2, 0, 1, 2], [70, 20, 10, 10, 50, 40])
    fitted = fit_temperature(with_temperature(honest, 1 / factor), labels)
    assert fitted["interval"][0] < factor < fitted["interval"][1] and fitted["n"] == 200
    assert fitted["value"] == (None if factor == 1 else pytest.approx(factor, rel=1e-4))


def test_a_temperature_that_may_as_well_do_harm_is_none():
    """Of eighteen images of a calibrated model, whatever is the best for them says nothing of others."""
    values = [fit_temperature(*drawn(18, 3, 1.0, seed))["value"] for seed in range(100)]
    assert np.mean([value is None for value in values]) > 0.9
    told = fit_temperature(*drawn(18, 3, 1.0, 0))["why"]
    assert told.startswith("on the 18 images to fit it on ") and "none is shown to be needed" in told


def test_the_interval_of_the_temperature_holds_it_as_often_as_it_says():
    intervals = [fit_temperature(*drawn(200, 3, 2.0, seed))["interval"] for seed in range(200)]
    assert 0.91 < np.mean([low <= 2 <= high for low, high in intervals]) < 0.99


def test_a_temperature_mends_a_model_that_is_too_sure_and_no_answer_changes():
    probabilities, labels = drawn(4000, factor=3.0)
    fitted = fit_temperature(*drawn(2000, factor=3.0, seed=1))["value"]
    tempered = with_temperature(probabilities, fitted)
    before, after = calibration(probabilities, labels), calibration(tempered, labels)
    assert after["ece"] < before["ece"] / 5 and after["nll"] < before["nll"] and after["brier"] < before["brier"]
    np.testing.assert_array_equal(tempered.argmax(axis=1), probabilities.argmax(axis=1))


@pytest.mark.parametrize(
    ("probabilities", "why"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], "on the 2 images to fit it on (almost) all answers are right"),
        ([[1.0, 0.0], [0.0, 1.0]], "on the 2 images to fit it on (almost) all answers are right"),
        ([[0.1, 0.9], [0.8, 0.2]], "on the 2 images to fit it on the probabilities tell nothing"),
    ],
)
def test_where_no_temperature_is_the_best_there_is_none(probabilities, why):
    assert fit_temperature(np.array(probabilities), np.array([0, 1])) == {"value": None, "n": 2, "why": why}


def test_coverage_counted_by_hand():
    probabilities = np.array([[0.97, 0.03], [0.85, 0.15], [0.3, 0.7], [0.4, 0.6]])
    rows = {row["threshold"]: row for row in coverage(probabilities, np.array([0, 1, 1, 1]))}
    assert tuple(rows) == THRESHOLDS
    assert (rows[0.0]["coverage"], rows[0.0]["accuracy"]) == (1.0, 0.75)
    assert (rows[0.8]["coverage"], rows[0.8]["n"], rows[0.8]["accuracy"]) == (0.5, 2, 0.5)
    assert rows[0.8]["interval"] == accuracy_interval(1, 2)
    assert rows[0.99] == {"threshold": 0.99, "coverage": 0.0, "n": 0, "accuracy": None, "interval": None}


def test_a_run_is_judged_and_its_temperature_kept_with_the_model(finished):
    """Fitted on validation images alone, applied by whoever opens the model; without flip the answers kept are the plain ones."""
    temperature = finished.metrics["temperature"]
    saved = {name: np.load(finished.folder / f"predictions_{name}.npz") for name in ("validation", "test")}
    pairs = {name: (it["probabilities"], it["labels"]) for name, it in saved.items()}
    assert temperature == {"fitted_on": "validation", **TEMPERATURE, "n": len(pairs["validation"][1])}
    for folder in (finished.folder, finished.exports):
        assert json.loads((folder / "labels.json").read_text())["temperature"] == temperature["value"]
    test, tempered = finished.metrics["test"], with_temperature(pairs["test"][0], temperature["value"])
    assert test["calibration"] == {**calibration(*pairs["test"]), "tempered": calibration(tempered, pairs["test"][1])}
    assert test["coverage"] == coverage(tempered, pairs["test"][1])
    assert test["calibration"]["nll"] == pytest.approx(test["loss"])
    assert "tempered" not in finished.metrics["validation"]["calibration"]
    assert open_model(finished.folder).temperature == temperature["value"]


def test_what_is_printed_of_it(finished):
    metrics = finished.metrics
    told = calibration_told(metrics)
    assert told.startswith(f"expected calibration error on test: {metrics['test']['calibration']['ece']:.4f} [")
    assert "(fitted on 16 validation images): " in told
    assert calibration_told({**metrics, "temperature": None}).endswith("no validation images to fit one on")
    none = {"fitted_on": "validation", "value": None, "n": 2, "why": "all are right"}
    assert calibration_told({**metrics, "temperature": none}).endswith("; no temperature: all are right")
