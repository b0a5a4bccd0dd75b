"""Metrics against closed forms and small tables counted by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from kerastl.evaluate.metrics import judge, predict_probabilities, shown
from kerastl.evaluate.statistics import accuracy_interval

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
    assert report.confusion == {"size": 3, "cells": [[0, 0, 1], [0, 1, 1], [1, 1, 2], [2, 0, 1], [2, 2, 1]]}
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
    assert report.confusion["size"] == 3


def test_the_loss_is_scikit_learn_s():
    random = np.random.default_rng(0)
    probabilities, labels = random.dirichlet(np.ones(7) / 4, 200), random.integers(7, size=200)
    report = judge(probabilities, labels, tuple("abcdefg"))
    assert report.loss == pytest.approx(log_loss(labels, probabilities, labels=np.arange(7)))
    assert judge(np.array([[1.0, 0.0]]), np.array([1]), ("cat", "dog")).loss == pytest.approx(-math.log(2**-52))


def test_the_other_numbers_have_intervals_too():
    classes = 8
    probabilities = np.random.default_rng(1).dirichlet(np.ones(classes), 300)
    report = judge(probabilities, np.arange(300) % classes, tuple("abcdefgh"))
    assert report.loss_interval[0] < report.loss < report.loss_interval[1]
    assert report.top5_interval == accuracy_interval(round(report.top5 * 300), 300)
    assert judge(PROBABILITIES, LABELS, NAMES).top5_interval is None


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
