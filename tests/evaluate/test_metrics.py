"""Metrics against closed forms and small tables counted by hand."""

import math

import numpy as np
import pytest

from kerastl.evaluate.metrics import accuracy_interval, judge, predict_probabilities, shown

LABELS = np.array([0, 0, 1, 1, 2, 2])
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.1, 0.8], [0.5, 0.1, 0.4]],
    dtype="float32",
)
NAMES = ("cat", "dog", "fox")


def test_a_table_counted_by_hand():
    report = judge(PROBABILITIES, LABELS, NAMES)
    assert report.n == 6 and report.accuracy == pytest.approx(4 / 6)
    assert report.loss == pytest.approx(-np.log([0.7, 0.1, 0.5, 0.4, 0.8, 0.4]).mean(), rel=1e-5)
    assert report.confusion == ((1, 1, 0), (0, 2, 0), (1, 0, 1))
    cat, dog, fox = report.per_class
    assert (cat["name"], cat["n"], cat["precision"], cat["recall"]) == ("cat", 2, 0.5, 0.5)
    assert dog["precision"] == pytest.approx(2 / 3) and dog["recall"] == 1.0
    assert fox["f1"] == pytest.approx(2 / 3)
    assert report.top5 is None, "with three classes, the first five say nothing"


def test_top5():
    classes = 8
    probabilities = np.tile(np.linspace(1, 2, classes) / np.linspace(1, 2, classes).sum(), (classes, 1))
    assert judge(probabilities, np.arange(classes), tuple("abcdefgh")).top5 == 5 / 8


def test_a_class_that_never_occurs_has_zeros_and_keeps_its_place():
    report = judge(PROBABILITIES[:4], LABELS[:4], NAMES)
    assert report.per_class[2] == {"name": "fox", "n": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert len(report.confusion) == 3


def wilson(k, n, z=1.959964):
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return centre - half, centre + half


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (90, 100), (4250, 5000), (1, 3)])
def test_the_interval_is_wilson_s(k, n):
    low, high = accuracy_interval(k, n)
    assert (low, high) == pytest.approx(wilson(k, n), abs=1e-6)
    assert 0 <= low <= k / n <= high <= 1


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    inside = [
        low <= 0.85 <= high for low, high in (accuracy_interval(int(k), 200) for k in random.binomial(200, 0.85, 2000))
    ]
    assert 0.93 < np.mean(inside) < 0.97


def test_shown():
    report = judge(PROBABILITIES, LABELS, NAMES)
    assert shown(report) == shown(report.to_dict()) == "0.6667 [0.3000, 0.9032], n = 6"


def test_probabilities_of_a_split_are_in_its_order(finished):
    from kerastl.data.load import load

    data = load(finished.recipe.data, 32)
    some = data.test.subset(np.arange(7))
    probabilities = predict_probabilities(finished.model, some, batch_size=3)
    np.testing.assert_allclose(probabilities, finished.model.predict(some.pixels, verbose=0), atol=1e-6)


def test_mirrored_images(finished):
    from kerastl.data.load import load

    some = load(finished.recipe.data, 32).test.subset(np.arange(5))
    mirrored = predict_probabilities(finished.model, some, batch_size=3, flip=True)
    np.testing.assert_allclose(mirrored, finished.model.predict(some.pixels[:, :, ::-1], verbose=0), atol=1e-6)
