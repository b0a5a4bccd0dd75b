"""Coarse classes: counted by hand, and never judged worse than the fine ones."""

import numpy as np
import pytest

from kerastl.data.cifar import CIFAR100, SUPERCLASS_OF
from kerastl.evaluate.metrics import judge
from kerastl.evaluate.statistics import accuracy_interval
from kerastl.evaluate.superclasses import judge_superclasses

SUPERCLASSES = ("tree", "fish", "tree", "bird")  # of oak, shark, maple, owl


def test_by_hand():
    labels = np.array([0, 0, 1, 1, 2, 2])
    judged = judge_superclasses(np.eye(4)[[0, 2, 0, 1, 2, 3]], labels, SUPERCLASSES)
    assert judged["accuracy"] == pytest.approx(4 / 6)
    assert judged["interval"] == accuracy_interval(4, 6)
    assert judged["per_class"] == [
        {"name": "bird", "n": 0, "accuracy": 0.0},
        {"name": "fish", "n": 2, "accuracy": 0.5},
        {"name": "tree", "n": 4, "accuracy": 0.75},
    ]
    assert judged["confusion"] == {"size": 3, "cells": [[1, 1, 1], [1, 2, 1], [2, 0, 1], [2, 2, 3]]}


@pytest.mark.parametrize("seed", range(5))
def test_never_less_than_the_accuracy_of_the_classes(seed):
    random = np.random.default_rng(seed)
    labels, probabilities = random.integers(0, 100, 40), random.dirichlet(np.full(100, 0.1), 40)
    probabilities[np.arange(40), labels] += random.random(40) * 0.3
    judged = judge_superclasses(probabilities, labels, [SUPERCLASS_OF[name] for name in CIFAR100])
    assert judged["accuracy"] >= judge(probabilities, labels, CIFAR100).accuracy
    assert len(judged["per_class"]) == 20 and sum(n for *_, n in judged["confusion"]["cells"]) == 40
