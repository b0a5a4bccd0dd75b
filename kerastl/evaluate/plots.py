"""Pictures of a run: curves with the phases marked, and some test images with the answers given."""

from pathlib import Path

import numpy as np

from kerastl.evaluate.drawing import Figure, drawn, matplotlib, save
from kerastl.train.history import spans

OKABE_ITO = {"train": "#0072B2", "validation": "#D55E00", "right": "#009E73", "wrong": "#D55E00", "line": "#999999"}
LINES = tuple(matplotlib.colormaps["tab10"].colors)


@drawn
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


@drawn
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
    titles, colours = [], []
    for label, row in zip(labels, probabilities, strict=True):
        answer = int(np.argmax(row))
        right = answer == label
        truth = "" if right else f"\n(is {class_names[label]})"
        titles.append(f"{class_names[answer]} {row[answer]:.0%}: {right}{truth}")
        colours.append(OKABE_ITO["right" if right else "wrong"])
    draw_pictures(pixels, titles, colours, path, columns)


@drawn
def draw_pictures(pixels, titles, colours, path, columns=4):
    """Images in a grid, each under its title.

    Args:
        pixels: uint8 images of shape (height, width, 3).
        titles: a text for each, of one line or more.
        colours: of the titles.
        path: of the PNG.
        columns: images in a row.
    """
    lines = max(title.count("\n") for title in titles) + 1
    width, height, side = 2.4, 2.4 + 0.17 * lines, 2.2  # in inches: of a cell with its title, and of the image in it
    rows = -(-len(pixels) // columns)
    figure = Figure(figsize=(width * columns, height * rows))
    # One pair of axes for all: a pair for each image takes matplotlib three times as long.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    for place, (image, title, colour) in enumerate(zip(pixels, titles, colours, strict=True)):
        middle, bottom = width * (place % columns + 0.5), height * (place // columns + 1) - 0.1
        tall, wide = side * np.array(image.shape[:2]) / max(image.shape[:2])
        extent = (middle - wide / 2, middle + wide / 2, bottom, bottom - tall)
        axes.imshow(image, extent=extent, interpolation="nearest", aspect="auto")
        axes.text(middle, bottom - tall - 0.05, title, ha="center", va="bottom", fontsize=9, color=colour)
    axes.set(xlim=(0, width * columns), ylim=(height * rows, 0))
    save(figure, path)


@drawn
def draw_overlaid(runs, path):
    """Validation curves of several runs in one figure; the training curves, where none of them has validated.

    Args:
        runs: a dict from a run's name to its rows of history.csv.
        path: of the PNG.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    validated = any(row.get("val_loss") is not None for rows in runs.values() for row in rows)
    split, prefix = ("validation", "val_") if validated else ("training", "")
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for number, (name, rows) in enumerate(runs.items()):
            values = [np.nan if (value := row.get(prefix + quantity)) is None else value for row in rows]
            axes.plot(np.arange(1, len(rows) + 1), values, "o-", ms=3, color=LINES[number % 10], label=name)
        axes.set(xlabel="epoch", ylabel=f"{split} {quantity}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    save(figure, path)


@drawn
def draw_sweep(columns, accuracies, intervals, scales, path):
    """Validation accuracy against the values of each swept key, with intervals.

    Args:
        columns: from dotted key to what was tried of it, in order.
        accuracies: one for each trial.
        intervals: (low, high) for each.
        scales: from dotted key to the scale of its axis, linear or log; of the others the values stand side by side.
        path: of the PNG.
    """
    figure = Figure(figsize=(2 + 4 * len(columns), 4), layout="constrained")
    low, high = np.array(intervals).T
    errors = [np.array(accuracies) - low, high - np.array(accuracies)]
    for axes, (key, values) in zip(
        figure.subplots(1, len(columns), sharey=True, squeeze=False)[0], columns.items(), strict=True
    ):
        shown = list(dict.fromkeys(map(str, values)))
        places = values if key in scales else [shown.index(str(value)) for value in values]
        line = "o-" if len(columns) == 1 else "o"
        axes.errorbar(places, accuracies, yerr=errors, fmt=line, lw=1, capsize=3, color=OKABE_ITO["train"])
        if key in scales:
            axes.set_xscale(scales[key])
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        else:
            axes.set_xticks(range(len(shown)), shown)
        axes.set(xlabel=key)
    figure.axes[0].set(ylabel="validation accuracy, 95% interval")
    save(figure, path)


@drawn
def draw_rates(tests, path):
    """The loss of each phase against the learning rate, or against what several rates were multiplied by.

    Args:
        tests: a `RangeTest` for each phase.
        path: of the PNG.
    """
    figure = Figure(figsize=(6 * len(tests), 4), layout="constrained")
    for axes, it in zip(figure.subplots(1, len(tests), squeeze=False)[0], tests, strict=True):
        axes.plot(it.scale * it.factors, it.losses, ".", ms=3, color=OKABE_ITO["line"], label="loss of a step")
        axes.plot(it.scale * it.factors, it.smoothed, color=OKABE_ITO["train"], label="smoothed")
        axes.axvline(it.scale, color=OKABE_ITO["line"], lw=1, ls="--", label=f"recipe {it.scale:.1e}")
        for rule, colour in (("steepest", "right"), ("min/10", "wrong")):
            if it.suggestions[rule]:
                rate = it.scale * it.suggestions[rule]
                axes.axvline(rate, color=OKABE_ITO[colour], label=f"{rule} {rate:.1e}")
        one = len(set(it.rates.values())) == 1
        axes.set(
            xlabel="learning rate" if one else "all learning rates times", ylabel="loss", title=it.name, xscale="log"
        )
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        low, high = np.nanmin(it.losses), it.smoothed[0]
        axes.set_ylim(low - 0.2 * (high - low) - 0.1, high + (high - low) + 0.1)
        axes.legend(frameon=False, fontsize=8)
    save(figure, path)


def named(split, name, at_most=26):
    """An image as a title says it: the middle of a long file name is left out, and one without a file is known by its place.

    Example:
        >>> named("test", 7), named("test", "photos/cat/a_very_long_name_from_a_camera_0001.jpg")
        ('test[7]', 'a_very_long_n…era_0001.jpg')
    """
    if not isinstance(name, str):
        return f"{split}[{name}]"
    name = Path(name).name
    return name if len(name) <= at_most else f"{name[: at_most // 2]}…{name[1 - at_most // 2 :]}"


def _mark_phases(axes, rows):
    for name, start, end in spans(rows):
        if start:
            axes.axvline(start + 0.5, color=OKABE_ITO["line"], lw=1, ls="--")
        axes.text(
            (start + end + 1) / 2,
            1.01,
            name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
        )
