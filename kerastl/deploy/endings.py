"""How the answers of a model end, and what makes probabilities of them: decided here, for whatever asks a model."""

import numpy as np
from scipy.special import expit, softmax

from kerastl.errors import UserError

# Between 0 and 1, and summing to 1, as far as eight bits for each class tell.
ROUNDED, SUMS = 0.01, 0.1


def _of_two(of_the_second):
    return np.concatenate([1 - of_the_second, of_the_second], axis=1)


def _as_they_are(found):
    return found


# Ending -> what is said of it, and what makes probabilities of its answers. Of one column, the second class is 1.
ENDINGS = {
    "softmax": (None, _as_they_are),
    "sigmoids": (
        "answers for each class by itself: its probabilities need not sum to 1, and several classes may be right",
        _as_they_are,
    ),
    "logits": ("answers with logits; they are shown as probabilities by softmax", lambda found: softmax(found, axis=1)),
    "logarithms": ("answers with logarithms of probabilities; they are shown as probabilities", np.exp),
    "scores": (
        "answers with scores between -1 and 1 (tanh), which are no probabilities; they are shown by softmax, in the right order",
        lambda found: softmax(found, axis=1),
    ),
    "percent": ("answers with percentages; they are shown as probabilities", lambda found: found / 100),
    "eight bits": ("answers with numbers from 0 to 255; they are shown as probabilities", lambda found: found / 255),
    "one sigmoid": (None, _of_two),
    "one logit": (
        "answers with one logit; it is shown as a probability by the sigmoid function",
        lambda found: _of_two(expit(found)),
    ),
    "one score": (
        "answers with one score between -1 and 1 (tanh), which is no probability; it is shown as one, halved and moved up",
        lambda found: _of_two((1 + found) / 2),
    ),
}
# Last activation -> how several columns end, and one.
ACTIVATIONS = {
    "softmax": ("softmax", None),
    "sparsemax": ("softmax", None),
    "sigmoid": ("sigmoids", "one sigmoid"),
    "hard_sigmoid": ("sigmoids", "one sigmoid"),
    "log_softmax": ("logarithms", None),
    "linear": ("logits", "one logit"),
    "tanh": ("scores", "one score"),
}


def ending_of(path, activation, columns, answer):
    """How a model ends: a name in `ENDINGS`.

    Args:
        path: of the model, for errors.
        activation: its last one, as `kerastl.model.cut.activation_of` gives it; of one that is not in `ACTIVATIONS` the answers tell.
        columns: of the answers.
        answer: a function without arguments that gives the answers to some pictures.

    Raises:
        UserError: answers that are no numbers, or always the same.
    """
    if activation in ACTIVATIONS:
        ending = ACTIVATIONS[activation][columns == 1]
        if ending is None:
            raise UserError(
                f"{path}: ends in {activation} over one column, which says the same of every image; expected sigmoid, or a column for "
                "each class"
            )
        return ending
    found = answer()
    if not np.isfinite(found).all():
        raise UserError(f"{path}: its answers are no numbers (NaN or infinite); expected a model with sound weights")
    shares = bool(((found >= -ROUNDED) & (found <= 1 + ROUNDED)).all())
    if columns == 1:
        return "one sigmoid" if shares else "one logit"
    if shares:
        return "softmax" if _sum_to(1, found) else "sigmoids"
    if (found >= 0).all():
        return "percent" if _sum_to(100, found) else "eight bits" if _sum_to(255, found) else "logits"
    return "logarithms" if (found <= ROUNDED).all() and _sum_to(1, np.exp(found)) else "logits"


def probabilities_of(path, ending, found):
    """Probabilities, of answers that end in a certain way; rows that are no numbers stay so.

    Args:
        path: of the model, for errors.
        ending: a name in `ENDINGS`.
        found: the answers, float32 of shape (n, columns).

    Raises:
        UserError: these answers are none that end in this way.

    Example:
        >>> probabilities_of("m.onnx", "one sigmoid", np.array([[0.25]])).tolist()
        [[0.75, 0.25]]
    """
    with np.errstate(all="ignore"):
        shares = ENDINGS[ending][1](found)
    wrong = (shares < -ROUNDED) | (shares > 1 + ROUNDED)
    if wrong.any():
        raise UserError(
            f"{path}: answers with {shares[wrong][0]:.4g} here, and between 0 and 1 to other pictures; expected probabilities or logits. "
            "End the model in softmax"
        )
    return np.clip(shares, 0, 1)


def _sum_to(whole, found):
    return bool((np.abs(found.sum(axis=1) - whole) < SUMS * whole).all())
