"""Intervals and tests against closed forms, and simulations of how often they are right."""

import math

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import t as student

from kerastl.evaluate.statistics import (
    accuracy_interval,
    bootstrap_interval,
    holm,
    mcnemar,
    mean_interval,
    welch,
)


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


def test_the_bootstrap_of_one_image_is_the_image():
    assert bootstrap_interval(mean, np.array([0.3])) == (0.3, 0.3)


def answers(random, n, rate, other, together):
    """Where two models are right: each as often as told, and on `together` of the images both or none by the same chance."""
    chance = random.random((3, n))
    same = chance[2] < together
    return chance[0] < rate, np.where(same, chance[0], chance[1]) < other


def test_mcnemar_by_hand():
    """Eight images where they differ, seven of them for the second: 2 (C(8, 0) + C(8, 1)) / 2^8."""
    first = np.array([True] * 80 + [True] + [False] * 7 + [False] * 12)
    second = np.array([True] * 80 + [False] + [True] * 7 + [False] * 12)
    found = mcnemar(first, second)
    assert (found["only_first"], found["only_second"]) == (1, 7)
    assert found["p"] == pytest.approx(2 * (1 + 8) / 2**8) and found["difference"] == pytest.approx(0.06)
    centre, half = 6 / 102, 1.959964 / 102 * math.sqrt(1.5 + 7.5 - 36 / 102)
    assert found["interval"] == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_mcnemar_of_two_that_agree():
    first = np.array([True, False, True])
    found = mcnemar(first, first)
    assert found["p"] == 1.0 and found["difference"] == 0 and found["interval"][0] < 0 < found["interval"][1]
    assert mcnemar(first, ~first)["interval"][0] >= -1


@pytest.mark.parametrize("rates", [(0.9, 0.9), (0.9, 0.92), (0.6, 0.63)])
@pytest.mark.parametrize("together", [0.0, 0.8])
def test_the_paired_interval_and_the_test_are_right_as_often_as_they_say(rates, together):
    random, covered, alarms = np.random.default_rng(0), [], []
    for _ in range(400):
        found = mcnemar(*answers(random, 400, *rates, together))
        covered.append(found["interval"][0] <= rates[1] - rates[0] <= found["interval"][1])
        alarms.append(found["p"] < 0.05)
    assert 0.92 < np.mean(covered) < 0.985
    assert np.mean(alarms) < 0.06 or rates[0] != rates[1], "of equal models, one in twenty seems better, or fewer"


def test_pairs_show_what_two_intervals_hide():
    """The same accuracies, with intervals that overlap: it matters whether the models are wrong on the same images."""
    random = np.random.default_rng(0)
    alone, paired = (mcnemar(*answers(random, 2000, 0.9, 0.915, together))["p"] for together in (0.0, 1.0))
    assert paired < 1e-4 < alone


def test_mean_and_spread_of_seeds():
    found = mean_interval([0.899, 0.902, 0.906])
    assert found["mean"] == pytest.approx(2.707 / 3) and found["std"] == pytest.approx(0.0035119, abs=1e-7)
    assert found["interval"][1] - found["mean"] == pytest.approx(4.302653 * found["std"] / math.sqrt(3))
    assert mean_interval([0.9]) == {"mean": 0.9, "std": None, "interval": None, "values": [0.9]}
    assert mean_interval([0.5, 0.5])["interval"] == (0.5, 0.5)
    assert mean_interval([0.1, 0.9], 1.0)["interval"] == (0.0, 1.0), "a share is no less and no more"


def test_welch_by_hand():
    first, second = [0.90, 0.91, 0.92], [0.93, 0.94, 0.96]
    found = welch(first, second)
    variances = np.var(first, ddof=1) / 3, np.var(second, ddof=1) / 3
    t = found["difference"] / math.sqrt(sum(variances))
    freedom = sum(variances) ** 2 / sum(variance**2 / 2 for variance in variances)
    assert found["p"] == pytest.approx(2 * student.sf(t, freedom))
    assert found["interval"][0] == pytest.approx(found["difference"] * (1 - student.ppf(0.975, freedom) / t))
    assert welch([0.5, 0.5], [0.5, 0.5])["p"] == 1.0 and welch([0.5, 0.5], [0.6, 0.6])["p"] == 0.0


def test_holm_s_own_rule():
    """Rejected at 0.05 one by one from the smallest, the i-th of m at 0.05 / (m - i + 1), until one is not."""
    random = np.random.default_rng(0)
    for _ in range(200):
        ps = random.beta(0.3, 3, size=random.integers(1, 7))
        rejected, order = set(), np.argsort(ps)
        for rank, place in enumerate(order):
            if ps[place] >= 0.05 / (len(ps) - rank):
                break
            rejected.add(int(place))
        assert {place for place, p in enumerate(holm(ps)) if p < 0.05} == rejected
    assert holm([0.3]) == [0.3] and holm([]) == []


def mean(rows):
    return rows.mean(axis=-1)
