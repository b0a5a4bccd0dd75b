"""Numbers that say how good a classifier is, each with its n, and the accuracy with its interval."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from kerastl.data.batches import evaluation_batches, steps_per_epoch
from kerastl.evaluate.statistics import accuracy_interval, bootstrap_interval
from kerastl.train.progress import PredictProgress


@dataclass(frozen=True)
class Report:
    """How a model answers on one split.

    Args:
        n: images.
        accuracy: share of them whose most probable class is the label.
        interval: Wilson's 95% interval of the accuracy (Wilson 1927), low and high.
        loss: mean negative log-likelihood of the label, in nats.
        top5: share whose label is among the five most probable classes; None with five classes or fewer.
        per_class: for each class its name, n, precision, recall and f1; 0 where a ratio has no denominator.
        confusion: the cells of the confusion matrix that are not 0; see `count_cells`.
        loss_interval: 95% bootstrap interval of the loss (percentiles of a thousand resamples), low and high.
        top5_interval: Wilson's, as of the accuracy; None where top5 is.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    loss: float
    top5: float | None
    per_class: tuple[dict, ...]
    confusion: dict
    loss_interval: tuple[float, float]
    top5_interval: tuple[float, float] | None

    def to_dict(self):
        return asdict(self)


def predict_probabilities(model, images, batch_size=128, title="predict", flip=False):
    """Class probabilities for a split.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        images: `Images`.
        batch_size: images in a step.
        title: of the progress bar.
        flip: of the mirrored images.

    Returns:
        A float32 array of shape (n, classes).
    """
    batches = evaluation_batches(images, model.output_shape[-1], batch_size)
    if flip:
        batches = batches.map(lambda pixels, targets: (pixels[:, :, ::-1], targets))
    progress = PredictProgress(title, steps_per_epoch(len(images), batch_size))
    try:
        return model.predict(batches, callbacks=[progress], verbose=0)
    finally:
        progress.bar.close()


def judge(probabilities, labels, class_names, seed=0):
    """Compute a `Report`.

    Args:
        probabilities: array of shape (n, classes), rows that sum to 1.
        labels: int array of shape (n,).
        class_names: names in label order.
        seed: of the bootstrap.

    Returns:
        A `Report`.

    Example:
        >>> import numpy as np
        >>> report = judge(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1]), ("cat", "dog"))
        >>> report.n, round(report.accuracy, 3)
        (3, 0.667)
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    predicted, classes = probabilities.argmax(axis=1), np.arange(len(class_names))
    correct = int((predicted == labels).sum())
    loss = losses(probabilities, labels)
    top5 = (
        round(top_k_accuracy_score(labels, probabilities, k=5, labels=classes, normalize=False))
        if len(classes) > 5
        else None
    )
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    rows = zip(class_names, support.astype(int).tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True)
    return Report(
        n=len(labels),
        accuracy=correct / len(labels),
        interval=accuracy_interval(correct, len(labels)),
        loss=float(loss.mean()),
        top5=None if top5 is None else top5 / len(labels),
        per_class=tuple(dict(zip(("name", "n", "precision", "recall", "f1"), row, strict=True)) for row in rows),
        confusion=count_cells(labels, predicted, len(classes)),
        loss_interval=bootstrap_interval(lambda rows: rows.mean(axis=-1), loss, seed=seed),
        top5_interval=None if top5 is None else accuracy_interval(top5, len(labels)),
    )


def count_cells(true, answered, classes):
    """A confusion matrix by its cells that are not 0: never more of them than images, where ten thousand classes have 1e8.

    Args:
        true: int array of shape (n,): labels.
        answered: int array of shape (n,).
        classes: how many there are.

    Returns:
        {"size": classes, "cells": [[true, answered, count], ...]}, by true class, then by answer.

    Example:
        >>> count_cells(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), 2)
        {'size': 2, 'cells': [[0, 0, 1], [1, 0, 1], [1, 1, 2]]}
    """
    pairs, counts = np.unique(np.stack([true, answered], axis=1).astype(np.int64), axis=0, return_counts=True)
    return {"size": int(classes), "cells": np.concatenate([pairs, counts[:, None]], axis=1).tolist()}


def losses(probabilities, labels):
    """The negative log-likelihood of each label, in nats; of a probability of 0, that of the smallest a float64 can add to 1.

    Args:
        probabilities: float64 array of shape (n, classes).
        labels: int array of shape (n,).

    Returns:
        An array of shape (n,).
    """
    return -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], np.finfo(np.float64).eps))


def shown(report):
    """An accuracy as it is printed everywhere: 0.906 [0.885, 0.923], n = 899.

    Args:
        report: a `Report`, or its dict as read from metrics.json; without an interval, none is shown.
    """
    table = report if isinstance(report, dict) else report.to_dict()
    interval = "[{:.4f}, {:.4f}]".format(*table["interval"]) if "interval" in table else "-"
    return f"{table['accuracy']:.4f} {interval}, n = {table['n']:,}"


def shown_spread(found):
    """What several seeds gave, as it is printed everywhere: 0.9100 ± 0.0100 [0.8852, 0.9348], 3 seeds.

    Args:
        found: what `mean_interval` gave of them, or its dict as read from seeds.json.
    """
    n = len(found["values"])
    if n == 1:
        return f"{found['mean']:.4f}, 1 seed"
    return "{:.4f} ± {:.4f} [{:.4f}, {:.4f}], {} seeds".format(found["mean"], found["std"], *found["interval"], n)
