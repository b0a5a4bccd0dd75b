"""Intervals and tests against closed forms, and simulations of how often they are right."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from kerastl.evaluate.statistics import accuracy_interval, bootstrap_interval


def wilson(k, n, z=1.959964):
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return centre - half, centre + half


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (90, 100), (4250, 5000), (1, 3)])
def test_the_interval_is_wilson_s(k, n):
    low, high = accuracy_interval(k, n)
    assert (low, high) == pytest.approx(wilson(k, n), abs=1e-6)
    assert 0 <= low <= k / n <= high <= 1


@pytest.mark.parametrize(("p", "n"), [(0.5, 60), (0.7, 360), (0.85, 200), (0.906, 5000), (0.97, 899)])
def test_wilson_s_interval_covers_as_often_as_it_says(p, n):
    """No draws: the chance of every number of right answers, summed over those whose interval holds the truth."""
    chances = binom.pmf(np.arange(n + 1), n, p)
    inside = [low <= p <= high for low, high in (wilson(k, n) for k in range(n + 1))]
    assert 0.93 < chances[inside].sum() < 0.97


def test_the_bootstrap_of_a_mean_is_its_normal_interval():
    losses = np.random.default_rng(0).exponential(size=2000)
    half = 1.959964 * losses.std() / math.sqrt(len(losses))
    low, high = bootstrap_interval(mean, losses)
    assert (low, high) == pytest.approx((losses.mean() - half, losses.mean() + half), abs=half / 5)
    assert bootstrap_interval(mean, losses) == (low, high) != bootstrap_interval(mean, losses, seed=1)


def test_the_bootstrap_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    intervals = [bootstrap_interval(mean, random.exponential(size=150), seed=seed) for seed in range(200)]
    assert 0.9 < np.mean([low <= 1 <= high for low, high in intervals]) < 0.97


def mean(rows):
    return rows.mean(axis=-1)
