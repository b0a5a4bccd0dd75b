"""compare.html: runs side by side for people, with the words and numbers that the command line prints."""

import itertools

import numpy as np

from kerastl.evaluate.compare import COSTS, PAIRS, SCORES, TRAINING, curves
from kerastl.evaluate.page import DRAWN, INK, SERIES, figure, render
from kerastl.evaluate.statistics import mean_interval

LINE = 0.5  # inches for one line of a figure with a name above it
MANNERS = ("-", "--", ":")


def write_page(found, path):
    """Write a comparison as one page with everything inside.

    Args:
        found: a `Comparison`.
        path: of the HTML file.

    Example:
        >>> write_page(compare(["runs/a", "runs/b"]), "compare.html")  # doctest: +SKIP
    """
    names = [it.name for it in found.compared]
    tested = [pair for pair in found.pairs if pair.test]
    scored = [it for it in found.compared if it.of("test", "accuracy")]
    render(
        "compare.html",
        path,
        title=f"{', '.join(names[:-1])} and {names[-1]}",
        found=found,
        tested=tested,
        columns={"pairs": PAIRS, "scores": SCORES, "training": TRAINING, "costs": COSTS},
        scores=draw_scores(scored) if scored else None,
        differences=draw_differences(tested) if tested else None,
        curves=[draw_curves_of(found.compared, quantity) for quantity in ("accuracy", "loss")],
    )


def draw_scores(compared):
    """Test accuracies with their 95% intervals, a line for each; of seeds the mean, its interval and every value."""
    lines = [_score(it) for it in compared]

    def draw(drawn):
        axes = _named_lines(drawn, [it.name for it in compared])
        for place, (centre, (low, high), values) in enumerate(lines):
            axes.errorbar(
                centre, place, xerr=[[centre - low], [high - centre]], fmt="o", ms=6, capsize=4, color=DRAWN["blue"]
            )
            axes.plot(values, [place] * len(values), "|", ms=9, color=DRAWN["vermilion"])
        axes.set(xlabel="test accuracy, 95% interval")

    told = "; ".join(
        f"{it.name} {centre:.4f}, {low:.4f} to {high:.4f}"
        for it, (centre, (low, high), _) in zip(compared, lines, strict=True)
    )
    return figure(draw, f"Test accuracies with 95% intervals: {told}.", 0.9 + LINE * len(lines))


def draw_differences(pairs):
    """How much the second of each pair is more often right than the first, with its 95% interval; green where one is better."""

    def draw(drawn):
        axes = _named_lines(drawn, [f"{pair.second} against {pair.first}" for pair in pairs])
        axes.vlines(np.zeros(len(pairs)), np.arange(len(pairs)) - 0.2, np.arange(len(pairs)) + 0.2, color=INK, lw=1)
        for place, pair in enumerate(pairs):
            centre, (low, high) = pair.found["difference"], pair.found["interval"]
            errors, colour = [[centre - low], [high - centre]], DRAWN["green" if pair.better else "muted"]
            axes.errorbar(centre, place, xerr=errors, fmt="o", ms=6, capsize=4, color=colour)
        axes.set(xlabel="difference of the test accuracies, 95% interval")

    told = "; ".join(f"{pair.second} against {pair.first} {pair.told}" for pair in pairs)
    return figure(draw, f"Differences of the test accuracies: {told}.", 0.9 + LINE * len(pairs))


def draw_curves_of(compared, quantity):
    """Validation curves, a colour for each that is compared and a line for each of its runs; training where none validated."""
    rows = {it.name: list(curves([it]).values()) for it in compared}
    validated = any(row.get("val_loss") is not None for runs in rows.values() for run in runs for row in run)
    column, split = (f"val_{quantity}", "validation") if validated else (quantity, "training")

    def draw(drawn):
        axes = drawn.subplots()
        styles = itertools.cycle(itertools.product(MANNERS, SERIES))
        for (name, runs), (manner, colour) in zip(rows.items(), styles, strict=False):
            for number, run in enumerate(runs):
                values = [np.nan if (value := row.get(column)) is None else value for row in run]
                label = name if not number else None
                axes.plot(np.arange(1, len(run) + 1), values, f"o{manner}", ms=3, color=colour, label=label)
        axes.set(xlabel="epoch", ylabel=f"{split} {quantity}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()

    return figure(draw, f"{split} {quantity} by epoch of {', '.join(rows)}.")


def _score(it):
    values = it.of("test", "accuracy")
    if not it.seeds:
        return values[0], it.metrics[0]["test"]["interval"], []
    found = mean_interval(values, 1.0)
    return found["mean"], found["interval"] or (found["mean"],) * 2, values


def _named_lines(drawn, names):
    """Axes with a line for each name, which stands above it: beside it a long one would leave no room."""
    axes = drawn.subplots()
    for place, name in enumerate(names):
        axes.text(0, place - 0.22, name, transform=axes.get_yaxis_transform(), va="bottom", size=9)
    axes.set(ylim=(len(names) - 0.5, -0.75), yticks=[])
    axes.spines["left"].set_visible(False)
    return axes
