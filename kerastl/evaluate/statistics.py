"""How sure a number is, and whether two of them differ: intervals and tests, each with its source."""

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 1000
AT_ONCE = 2_000_000  # numbers drawn at a time, which bounds the memory


def accuracy_interval(correct, n):
    """Wilson's 95% interval for `correct` right answers of `n`.

    Source:
        Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.

    Example:
        >>> tuple(round(bound, 3) for bound in accuracy_interval(90, 100))
        (0.826, 0.945)
    """
    interval = stats.binomtest(correct, n).proportion_ci(CONFIDENCE, method="wilson")
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


def at_once(n):
    """How many samples of n images are drawn at a time."""
    return max(1, AT_ONCE // n)
