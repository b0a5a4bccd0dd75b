"""Probabilities that mean what they say: how far they are from it, the temperature that mends it, and where to trust them.

All of it is about the saved model, which sees an image once: with `evaluate.flip` a run is scored by two looks, but whoever
loads the model has one.
"""

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax
from scipy.stats import chi2

from kerastl.evaluate.metrics import losses
from kerastl.evaluate.statistics import CONFIDENCE, RESAMPLES, accuracy_interval, at_once, bootstrap_interval

BINS = 15
EDGES = np.linspace(0, 1, BINS + 1)
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
COLDEST, HOTTEST = 1 / 20, 20.0


def calibration(probabilities, labels, seed=0):
    """How far a model's confidence is from how often it is right.

    The confidence is the probability of the class that is answered. Its expected calibration error is, over 15 equally wide bins
    of confidence, the mean distance between confidence and accuracy, each bin weighed by its images. It is never below 0, so few
    images make it too high, and the bootstrap once more: its interval reaches as far below the error as the bootstrap's upper
    end lies above, and to 0 where a calibrated model would show as much by chance (consistency resampling).

    Args:
        probabilities: array of shape (n, classes), rows that sum to 1.
        labels: int array of shape (n,).
        seed: of the bootstrap.

    Returns:
        A dict: ece and its 95% ece_interval, nll (mean negative log-likelihood, in nats), brier (mean squared distance to the
        truth, summed over classes: 0 to 2), and bins, each {low, high, n, confidence, accuracy}: means, None where n is 0.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 2; Naeini et al. 2015, Obtaining Well Calibrated
        Probabilities Using Bayesian Binning, for the error; Bröcker & Smith 2007, Increasing the Reliability of Reliability
        Diagrams, for the resampling; Brier 1950, Verification of Forecasts Expressed in Terms of
        Probability, for his score.

    Example:
        >>> found = calibration(np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0, 0]))
        >>> round(found["ece"], 3), round(found["brier"], 3)
        (0.4, 0.5)
    """
    probabilities = np.asarray(probabilities, np.float64)
    confidence, right = _confidence(probabilities, labels)
    error = float(expected_calibration_error(confidence, right))
    truth = np.arange(probabilities.shape[1]) == np.asarray(labels)[:, None]
    return {
        "ece": error,
        "ece_interval": _error_interval(confidence, right, error, seed),
        "nll": float(losses(probabilities, labels).mean()),
        "brier": float(((probabilities - truth) ** 2).sum(axis=1).mean()),
        "bins": _bins(confidence, right),
    }


def expected_calibration_error(confidence, right):
    """The error of one sample or of several, each a row: see `calibration`.

    Args:
        confidence: array of shape (..., n), 0 to 1.
        right: array of the same shape, 1 where the answer is the label, 0 elsewhere.

    Returns:
        An array of shape (...).

    Example:
        >>> float(expected_calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 0]))).__round__(3)
        0.05
    """
    rows = confidence.size // confidence.shape[-1]
    places = _places(confidence).reshape(rows, -1) + BINS * np.arange(rows)[:, None]
    gaps = np.bincount(places.ravel(), (right - confidence).ravel(), BINS * rows)
    return np.abs(gaps.reshape(*confidence.shape[:-1], BINS)).sum(axis=-1) / confidence.shape[-1]


def fit_temperature(probabilities, labels):
    """The temperature at which probabilities make the labels most likely; see `with_temperature`.

    Args:
        probabilities: array of shape (n, classes), of images that took no part in training and are not the test images.
        labels: int array of shape (n,).

    Returns:
        A dict: value, its 95% interval (of the likelihood ratio), and n. The value is None, and why says so, where the interval
        holds 1, so that it may as well make things worse, and where no temperature between 1/20 and 20 is the best: every answer is
        right, or the probabilities tell nothing.

    Source:
        Guo et al. 2017, section 4.2; for the interval Wilks 1938, The Large-Sample Distribution of the Likelihood Ratio.

    Example:
        >>> sure = np.tile([0.99, 0.01], (4, 1))
        >>> round(fit_temperature(sure, np.array([0, 0, 0, 1]))["value"], 2)
        4.18
    """
    logits, rows = _logits(probabilities), np.arange(len(labels))

    def loss(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    bounds = np.log([COLDEST, HOTTEST])
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    for bound, why in zip(bounds, ("(almost) all answers are right", "the probabilities tell nothing"), strict=True):
        if loss(bound) <= best.fun:
            return {"value": None, "n": len(labels), "why": f"on the {len(labels):,} images to fit it on {why}"}
    allowed = best.fun + chi2.ppf(CONFIDENCE, df=1) / (2 * len(labels))
    ends = [brentq(lambda it: loss(it) - allowed, end, best.x) if loss(end) > allowed else end for end in bounds]
    value, interval = float(np.exp(best.x)), tuple(float(np.exp(end)) for end in ends)
    found = {"value": value, "interval": interval, "n": len(labels)}
    if interval[0] <= 1 <= interval[1]:  # as likely to make it worse
        told = f"{value:.2f} would be the best, 95% interval {interval[0]:.2f} to {interval[1]:.2f}: none is shown to be needed"
        return found | {"value": None, "why": f"on the {len(labels):,} images to fit it on {told}"}
    return found


def coverage(probabilities, labels):
    """Accuracy against coverage: how often a model is right where it is at least so sure, and how often it is.

    Args:
        probabilities: array of shape (n, classes).
        labels: int array of shape (n,).

    Returns:
        A list of dicts, one for each of `THRESHOLDS`: threshold, coverage (share of the images answered with that confidence or
        more), n of them, accuracy on them and its 95% interval (Wilson); None where n is 0.

    Source:
        Geifman & El-Yaniv 2017, Selective Classification for Deep Neural Networks, section 2: softmax response.

    Example:
        >>> rows = coverage(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
        >>> [(row["coverage"], row["accuracy"]) for row in rows if row["threshold"] in (0.5, 0.8)]
        [(1.0, 0.5), (0.5, 1.0)]
    """
    confidence, right = _confidence(probabilities, labels)
    return [_covered(right[confidence >= threshold], len(right), threshold) for threshold in THRESHOLDS]


def with_temperature(probabilities, temperature):
    """Soften or sharpen probabilities: softmax(logits / temperature), computed from the probabilities.

    Args:
        probabilities: array of shape (n, classes), rows that sum to 1.
        temperature: above 1 softens, below 1 sharpens, 1 leaves them as they are.

    Returns:
        A float32 array of the same shape. The order of the classes stays.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.

    Example:
        >>> with_temperature(np.array([[0.9, 0.1]]), 2.0).round(2).tolist()
        [[0.75, 0.25]]
    """
    if temperature == 1.0:
        return np.asarray(probabilities, np.float32)
    return np.exp(log_softmax(_logits(probabilities) / temperature, axis=1)).astype(np.float32)


def _logits(probabilities):
    """Logits that give the probabilities, and of which the largest are exact."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny))


def _confidence(probabilities, labels):
    return np.max(probabilities, axis=1), (np.argmax(probabilities, axis=1) == labels).astype(np.float64)


def _error_interval(confidence, right, error, seed):
    _, high = bootstrap_interval(expected_calibration_error, confidence, right, seed=seed)
    low = 0.0 if error <= _error_by_chance(confidence, seed) else max(2 * error - high, 0.0)
    return low, max(high, error)


def _error_by_chance(confidence, seed):
    """What a calibrated model of these confidences stays below, 39 times of 40."""
    random, rows = np.random.default_rng(seed), at_once(len(confidence))
    errors = []
    for first in range(0, RESAMPLES, rows):
        drawn = random.random((min(rows, RESAMPLES - first), len(confidence))) < confidence
        errors.append(expected_calibration_error(np.broadcast_to(confidence, drawn.shape), drawn))
    return np.quantile(np.concatenate(errors), (1 + CONFIDENCE) / 2)


def _places(confidence):
    """The bin of each; an edge belongs to the bin below it, as in Guo et al. and scikit-learn."""
    return np.searchsorted(EDGES[1:-1], confidence)


def _bins(confidence, right):
    places = _places(confidence)
    n, *sums = (np.bincount(places, weights, BINS) for weights in (None, confidence, right))
    means = ([float(total / count) if count else None for total, count in zip(sum_, n, strict=True)] for sum_ in sums)
    names = ("low", "high", "n", "confidence", "accuracy")
    rows = zip(EDGES[:-1].tolist(), EDGES[1:].tolist(), n.tolist(), *means, strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _covered(right, every, threshold):
    n = len(right)
    accuracy, interval = (float(right.mean()), accuracy_interval(int(right.sum()), n)) if n else (None, None)
    return {"threshold": threshold, "coverage": n / every, "n": n, "accuracy": accuracy, "interval": interval}
