"""Pictures of a run: curves with the phases marked, and some test images with the answers given."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from kerastl.files import whole

OKABE_ITO = {"train": "#0072B2", "validation": "#D55E00", "right": "#009E73", "wrong": "#D55E00", "line": "#999999"}
LINES = tuple(matplotlib.colormaps["tab10"].colors)


def draw_curves(rows, path):
    """Loss and accuracy over the epochs of all phases.

    Args:
        rows: of history.csv.
        path: of the PNG.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    epochs = np.arange(1, len(rows) + 1)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, column in (("train", quantity), ("validation", f"val_{quantity}")):
            values = [row.get(column) for row in rows]
            if any(value is not None for value in values):
                axes.plot(
                    epochs,
                    [np.nan if v is None else v for v in values],
                    "o-",
                    ms=3,
                    color=OKABE_ITO[split],
                    label=split,
                )
        _mark_phases(axes, rows)
        axes.set(xlabel="epoch", ylabel=quantity, xlim=(0.5, len(rows) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    save(figure, path)


def draw_grid(pixels, labels, probabilities, class_names, path, columns=4):
    """Images with the answer given and whether it is true.

    Args:
        pixels: uint8 array of shape (n, height, width, 3).
        labels: int array of shape (n,).
        probabilities: array of shape (n, classes).
        class_names: names in label order.
        path: of the PNG.
        columns: images in a row.
    """
    rows = -(-len(labels) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.7 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    for axes, image, label, row in zip(figure.axes, pixels, labels, probabilities, strict=False):
        answer = int(np.argmax(row))
        right = answer == label
        axes.imshow(image, interpolation="nearest")
        truth = "" if right else f"\n(is {class_names[label]})"
        title = f"{class_names[answer]} {row[answer]:.0%}: {right}{truth}"
        axes.set_title(title, fontsize=9, color=OKABE_ITO["right" if right else "wrong"])
    save(figure, path)


def draw_overlaid(runs, path):
    """Validation curves of several runs in one figure.

    Args:
        runs: a dict from a run's name to its rows of history.csv.
        path: of the PNG.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, column in zip(figure.subplots(1, 2), ("val_loss", "val_accuracy"), strict=True):
        for number, (name, rows) in enumerate(runs.items()):
            values = [np.nan if row.get(column) is None else row[column] for row in rows]
            axes.plot(np.arange(1, len(rows) + 1), values, "o-", ms=3, color=LINES[number % 10], label=name)
        axes.set(xlabel="epoch", ylabel=column.replace("val_", "validation "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    save(figure, path)


def draw_sweep(values, accuracies, intervals, key, path):
    """Validation accuracy against the values of a swept key, with intervals.

    Args:
        values: what was tried, in order.
        accuracies: one for each.
        intervals: (low, high) for each.
        key: the dotted key, the name of the axis.
        path: of the PNG.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(values))
    low, high = np.array(intervals).T
    errors = [np.array(accuracies) - low, high - np.array(accuracies)]
    axes.errorbar(places, accuracies, yerr=errors, fmt="o-", capsize=3, color=OKABE_ITO["train"])
    axes.set_xticks(places, [str(value) for value in values])
    axes.set(xlabel=key, ylabel="validation accuracy, 95% interval")
    save(figure, path)


def save(figure, path):
    """Write a figure as PNG, whole or not at all."""
    with whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _mark_phases(axes, rows):
    names = [row["phase"] for row in rows]
    starts = [i for i in range(len(rows)) if i == 0 or names[i] != names[i - 1]]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        if start:
            axes.axvline(start + 0.5, color=OKABE_ITO["line"], lw=1, ls="--")
        axes.text(
            (start + end + 1) / 2,
            1.01,
            names[start],
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
        )
