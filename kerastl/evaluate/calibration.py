"""Probabilities that mean what they say."""

import numpy as np


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
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
