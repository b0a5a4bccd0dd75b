"""How good the answers are by coarser classes: a maple taken for an oak is a tree all the same."""

import numpy as np

from kerastl.evaluate.metrics import count_cells
from kerastl.evaluate.statistics import accuracy_interval


def judge_superclasses(probabilities, labels, superclasses):
    """Judge the answers by the coarser classes that the classes belong to.

    Args:
        probabilities: array of shape (n, classes).
        labels: int array of shape (n,), of the fine classes.
        superclasses: for each fine class, the name of its coarser class.

    Returns:
        {"accuracy": share of the answers that are of the right coarse class, which is never less than the accuracy,
        "interval": its Wilson interval, "per_class": (name, n, accuracy) of each coarse class, by name, "confusion": of the coarse
        classes, see `count_cells`}. The accuracy of a class without images is 0.

    Example:
        >>> answers = np.array([[0.7, 0.3, 0.0], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1]])
        >>> judged = judge_superclasses(answers, np.array([0, 1, 2]), ("tree", "tree", "fish"))
        >>> round(judged["accuracy"], 3), judged["confusion"]["cells"]
        (0.667, [[0, 1, 1], [1, 1, 2]])
    """
    names = sorted(set(superclasses))
    places = {name: place for place, name in enumerate(names)}
    coarse = np.array([places[name] for name in superclasses])
    true, answered = coarse[labels], coarse[probabilities.argmax(axis=1)]
    right, n = (np.bincount(some, minlength=len(names)) for some in (true[true == answered], true))
    shares = right / np.maximum(n, 1)
    rows = zip(names, n.tolist(), shares.tolist(), strict=True)
    return {
        "accuracy": float(right.sum() / n.sum()),
        "interval": accuracy_interval(int(right.sum()), int(n.sum())),
        "per_class": [dict(zip(("name", "n", "accuracy"), row, strict=True)) for row in rows],
        "confusion": count_cells(true, answered, len(names)),
    }
