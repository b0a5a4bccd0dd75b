"""How sure a number is, and whether two of them differ: intervals and tests, each with its source."""

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
NORMAL = stats.norm.ppf((1 + CONFIDENCE) / 2)
RESAMPLES = 1000
AT_ONCE = 2_000_000  # numbers drawn at a time, which bounds the memory


def accuracy_interval(correct, n):
    """Wilson's 95% interval for `correct` right answers of `n`, counts that may come as floats.

    Source:
        Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.

    Example:
        >>> tuple(round(bound, 3) for bound in accuracy_interval(90, 100))
        (0.826, 0.945)
    """
    interval = stats.binomtest(round(correct), round(n)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_interval(statistic, *samples, seed=0):
    """A 95% interval by the percentiles of the bootstrap: the images are drawn again, with replacement, a thousand times.

    Args:
        statistic: a function of arrays of shape (resamples, n), one for each sample, that gives one number a row.
        *samples: arrays of shape (n,), which are drawn together.
        seed: of the draws.

    Returns:
        Low and high; of a single image, what the statistic is of it.

    Source:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Example:
        >>> import numpy as np
        >>> low, high = bootstrap_interval(lambda rows: rows.mean(axis=-1), np.arange(100.0))
        >>> bool(low < 49.5 < high)
        True
    """
    if len(samples[0]) == 1:
        return (float(statistic(*(sample[None] for sample in samples))[0]),) * 2
    interval = stats.bootstrap(
        samples,
        lambda *rows, axis: statistic(*rows),
        n_resamples=RESAMPLES,
        batch=at_once(len(samples[0])),
        vectorized=True,
        paired=True,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def mean_interval(values, most=np.inf):
    """Mean and spread of what several seeds gave.

    Args:
        values: one number for each seed, none below 0.
        most: what the mean cannot exceed: 1 for shares. An interval ends there, and at 0.

    Returns:
        A dict: mean, std (of a sample, n - 1), the 95% t-interval of the mean, and the values. Of one value there is neither
        spread nor interval: None.

    Source:
        Student 1908, The Probable Error of a Mean.

    Example:
        >>> found = mean_interval([0.90, 0.91, 0.92])
        >>> round(found["mean"], 3), round(found["std"], 3), [round(bound, 3) for bound in found["interval"]]
        (0.91, 0.01, [0.885, 0.935])
    """
    values = [float(value) for value in values]
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return {"mean": mean, "std": None, "interval": None, "values": values}
    std = float(np.std(values, ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * std / n**0.5
    return {"mean": mean, "std": std, "interval": (max(mean - half, 0.0), min(mean + half, most)), "values": values}


def mcnemar(first, second):
    """McNemar's exact test: two models on the same images differ where one is right and the other wrong, and by chance evenly.

    Args:
        first, second: bool arrays of shape (n,): where each model is right, image by image.

    Returns:
        A dict: only_first and only_second (images that one alone has right), difference of the accuracies, second - first, its
        95% interval, and the two-sided p.

    Source:
        McNemar 1947, Note on the Sampling Error of the Difference between Correlated Proportions or Percentages; for models
        Dietterich 1998, section 3.1. The interval: Agresti & Min 2005, Simple Improved Confidence Intervals for Comparing
        Matched Proportions.

    Example:
        >>> import numpy as np
        >>> found = mcnemar(np.arange(100) < 80, np.arange(100) < 90)
        >>> found["only_second"], round(found["difference"], 2), round(found["p"], 4)
        (10, 0.1, 0.002)
    """
    n, only_first, only_second = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    either = only_first + only_second
    # Half an image more in each of the four cells.
    centre = (only_second - only_first) / (n + 2)
    half = NORMAL * np.sqrt((either + 1) / (n + 2) - centre**2) / np.sqrt(n + 2)
    return {
        "only_first": only_first,
        "only_second": only_second,
        "difference": (only_second - only_first) / n,
        "interval": (float(max(centre - half, -1)), float(min(centre + half, 1))),
        "p": float(stats.binomtest(only_first, either).pvalue) if either else 1.0,
    }


def welch(first, second):
    """Welch's t-test: whether the means of two recipes over their seeds differ.

    Args:
        first, second: accuracies, one for each seed; two or more of each.

    Returns:
        A dict: difference of the means, second - first, its 95% interval, and the two-sided p. Where no seed makes a difference,
        p is 1 for equal means and 0 for others.

    Source:
        Welch 1947, The Generalization of Student's Problem when Several Different Population Variances are Involved.

    Example:
        >>> found = welch([0.90, 0.91, 0.92], [0.93, 0.94, 0.96])
        >>> round(found["difference"], 3), round(found["p"], 3)
        (0.033, 0.042)
    """
    difference = float(np.mean(second) - np.mean(first))
    if np.ptp(first) == np.ptp(second) == 0:
        return {"difference": difference, "interval": (difference,) * 2, "p": float(difference == 0)}
    found = stats.ttest_ind(second, first, equal_var=False)
    interval = found.confidence_interval(CONFIDENCE)
    return {
        "difference": difference,
        "interval": (float(interval.low), float(interval.high)),
        "p": float(found.pvalue),
    }


def holm(ps):
    """The p of each of several tests, raised so that any of them is below 0.05 by chance at most once in twenty times.

    Args:
        ps: one for each test.

    Returns:
        A list in the same order.

    Source:
        Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.

    Example:
        >>> holm([0.01, 0.04, 0.03, 0.005])
        [0.03, 0.06, 0.06, 0.02]
    """
    order = np.argsort(ps)
    raised = np.maximum.accumulate(np.arange(len(ps), 0, -1) * np.asarray(ps)[order])
    return np.minimum(raised, 1.0)[np.argsort(order)].tolist()


def at_once(n):
    """How many samples of n images are drawn at a time."""
    return max(1, AT_ONCE // n)
