"""The figures of a report, in a page's colours: how it learned, how fast it was let learn, and whether to believe it."""

import itertools

import numpy as np

from kerastl.evaluate.page import DRAWN, FORMS, SERIES, figure
from kerastl.train.history import spans
from kerastl.train.schedules import make_schedule

SPLITS = {"train": "blue", "validation": "vermilion"}
MANNERS = ("-", "--", "-.", ":")
FALL = 1e-4  # of the highest rate: what a schedule ends with may be a billionth of it
LETTER = 5.2  # points that a letter of a phase's name takes in a figure
POINTS = 60  # at most, of a phase's schedule
ROOM = 290  # points from the first epoch to the last


def draw_quantity(rows, quantity, kept):
    """Loss or accuracy over the epochs of all phases, and the epochs whose weights were kept.

    Args:
        rows: of history.csv.
        quantity: "loss" or "accuracy".
        kept: for each phase by name, the epoch whose weights it ended with, counted within it; None for the last one.

    Returns:
        Markup.
    """
    epochs, best = np.arange(1, len(rows) + 1), _kept(rows, kept)

    def draw(drawn):
        axes = drawn.subplots()
        for split, column in (("train", quantity), ("validation", f"val_{quantity}")):
            values = np.array([np.nan if row.get(column) is None else row[column] for row in rows])
            if not np.isnan(values).all():
                axes.plot(epochs, values, "o-", ms=3, color=DRAWN[SPLITS[split]], label=split)
                axes.plot(epochs[best], values[best], "o", ms=9, mfc="none", mew=1.5, color=DRAWN[SPLITS[split]])
        axes.plot([], [], "o", ms=9, mfc="none", mew=1.5, color=DRAWN["muted"], label="weights kept")
        _mark_phases(axes, rows)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.legend()

    return figure(draw, _told_curve(rows, quantity))


def draw_rates(rows, plan, phases):
    """The learning rate of each group over the steps; groups that always have the same share a line.

    Args:
        rows: of history.csv.
        plan: that of metrics.json: a dict for each phase.
        phases: the recipe's, whose schedules they follow.

    Returns:
        Markup.
    """
    places, rates = _rates(rows, plan, phases)
    together = {}
    for name, values in rates.items():
        if not np.isnan(values).all():
            together.setdefault(values.tobytes(), []).append(name)
    lines = [(_joined(members, list(rates)), rates[members[0]]) for members in together.values()]
    highest = max(np.nanmax(values) for _, values in lines)

    def draw(drawn):
        axes = drawn.subplots()
        axes.set_yscale("log")
        axes.minorticks_off()
        for (name, values), colour, manner in zip(
            lines, itertools.cycle(SERIES), itertools.cycle(MANNERS), strict=False
        ):
            axes.plot(places, values, manner, color=colour, label=name)
        axes.set_ylim(FALL * highest, 2 * highest)
        axes.yaxis.set_major_formatter(lambda rate, _: FORMS["rate"](rate))
        _mark_phases(axes, rows)
        axes.set(xlabel="epoch", ylabel="learning rate")
        axes.legend()

    told = "; ".join(f"{name} at most {np.nanmax(values):.1e}" for name, values in lines)
    return figure(draw, f"Learning rate of each group of layers over the epochs: {told}.")


def draw_reliability(bins, tempered=None):
    """Accuracy against confidence, and how many answers are how confident.

    Args:
        bins: dicts with low, high, n, confidence and accuracy.
        tempered: the same after the temperature, or None.

    Returns:
        Markup.
    """

    def draw(drawn):
        top, bottom = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.plot([0, 1], [0, 1], "--", lw=1, color=DRAWN["muted"], label="as sure as right")
        every = sum(it["n"] for it in bins)
        for table, colour, name in ((bins, "blue", "as trained"), (tempered, "vermilion", "with temperature")):
            full = [it for it in table or () if it["n"]]
            if full:
                points = [[it[key] for it in full] for key in ("confidence", "accuracy")]
                top.plot(*points, "o-", ms=4, color=DRAWN[colour], label=name)
        heights, width = [it["n"] / every for it in bins], bins[0]["high"] - bins[0]["low"]
        bottom.bar([it["low"] for it in bins], heights, 0.92 * width, align="edge", color=DRAWN["blue"])
        top.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
        bottom.set(xlabel="confidence: probability of the answer", ylabel="answers")
        bottom.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        top.legend(loc="lower right")

    told = ", ".join(f"{it['confidence']:.2f} sure {it['accuracy']:.2f} right" for it in bins if it["n"])
    return figure(
        draw, f"Reliability: of the answers in each range of confidence, the share that is right: {told}.", 3.8
    )


def draw_coverage(rows):
    """Accuracy on the images answered with at least some confidence, against how many these are.

    Args:
        rows: dicts with threshold, coverage, accuracy and interval.

    Returns:
        Markup.
    """
    full = [row for row in rows if row["accuracy"] is not None]

    def draw(drawn):
        axes = drawn.subplots()
        answered = [row["coverage"] for row in full]
        axes.fill_between(answered, *zip(*(row["interval"] for row in full), strict=True), color=DRAWN["line"], lw=0)
        axes.plot(answered, [row["accuracy"] for row in full], "o-", ms=4, color=DRAWN["blue"])
        for row in full:
            if row["threshold"] in (0.5, 0.7, 0.9, 0.99):
                place = (row["coverage"], row["accuracy"])
                axes.annotate(f"{row['threshold']:g}", place, (0, 7), textcoords="offset points", ha="center", size=9)
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        axes.set(xlabel="images answered", ylabel="right, of those answered")
        axes.set_xlim(0, 1.02)
        axes.margins(y=0.15)

    told = ", ".join(f"{row['accuracy']:.1%} of {row['coverage']:.0%} from {row['threshold']:g}" for row in full)
    return figure(draw, f"Accuracy against coverage, by the least confidence that is answered: {told}.", 3.5)


def _kept(rows, kept):
    """The places of the rows after which a phase ended."""
    return [start + (kept.get(phase) or end - start) - 1 for phase, start, end in spans(rows)]


def _mark_phases(axes, rows):
    """A line between two phases; the name above, or where there is no room, the number."""
    for number, (name, start, end) in enumerate(spans(rows), start=1):
        if LETTER * (len(name) + 2) > ROOM * (end - start) / len(rows):
            name = str(number)
        if start:
            axes.axvline(start + 0.5, color=DRAWN["muted"], lw=1, ls="--")
        place = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text((start + end + 1) / 2, 1.02, name, fontsize=9, color=DRAWN["muted"], **place)
    axes.set_xlim(0.5, len(rows) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _joined(members, names):
    """Groups that stand next to one another as a range."""
    first = names.index(members[0])
    together = names[first : first + len(members)] == members
    return f"{members[0]} to {members[-1]}" if together and len(members) > 2 else ", ".join(members)


def _rates(rows, plan, phases):
    """Where in the epochs, and from group to its rates there: NaN where it is frozen, and between two phases."""
    names = [group["name"] for group in plan[0]["groups"]]
    places, rates, start = [], {name: [] for name in names}, 0.5
    for it, phase in zip(plan, phases, strict=True):
        epochs, steps = sum(row["phase"] == it["name"] for row in rows), it["steps_per_epoch"]
        if not epochs:  # there was no time for it
            continue
        schedule = 1.0 if phase.solve else make_schedule(phase.schedule, 1.0, it["epochs"], steps)
        at = np.unique(np.linspace(0, epochs * steps - 1, POINTS).astype(int))
        shape = [float(schedule(step)) if callable(schedule) else schedule for step in at.tolist()]
        places += [*(start + (at + 0.5) / steps), np.nan]
        for group in it["groups"]:
            rate = np.nan if group["learning_rate"] is None else group["learning_rate"]
            rates[group["name"]] += [*(rate * np.array(shape)), np.nan]
        start += epochs
    return places, {name: np.array(values) for name, values in rates.items()}


def _told_curve(rows, quantity):
    ends = [
        f"{split} from {values[0]:.3f} to {values[-1]:.3f}"
        for split, column in (("train", quantity), ("validation", f"val_{quantity}"))
        if (values := [row[column] for row in rows if row.get(column) is not None])
    ]
    return f"{quantity.capitalize()} over {len(rows)} epochs: {', '.join(ends)}."
