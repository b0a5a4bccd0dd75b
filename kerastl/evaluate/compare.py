"""Runs side by side: how good, at what cost, and which differences are more than chance."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from kerastl.errors import UserError
from kerastl.evaluate.metrics import shown, shown_spread
from kerastl.evaluate.plots import draw_overlaid
from kerastl.evaluate.statistics import holm, mcnemar, mean_interval, welch
from kerastl.files import refuse_links
from kerastl.recipe import OWN_PHASES
from kerastl.run_folder import SEEDS, read_metrics, read_predictions, read_run_history, read_seeds

SURE = 0.05
TESTS = {
    "McNemar": "p of McNemar's exact test, which is about these trained models: another seed may turn it.",
    "Welch": "p of Welch's t-test, which is about the recipes, whatever the seed; few seeds show large differences only.",
}


@dataclass(frozen=True)
class Compared:
    """One of those that are compared: a run, or several seeds of a recipe.

    Args:
        name: by which it is called.
        folders: of its runs; one, unless it is a folder of seeds.
        metrics: what their metrics.json hold.
        seeds: whether it is a folder of seeds.
    """

    name: str
    folders: tuple[Path, ...]
    metrics: tuple[dict, ...]
    seeds: bool

    @property
    def recipe(self):
        return self.metrics[0]["recipe"]

    def of(self, split, score):
        """A score on a split, of each run; empty where one of them has none."""
        values = [it.get(split, {}).get(score) for it in self.metrics]
        return [] if None in values else values


@dataclass(frozen=True)
class Pair:
    """Two of them, and whether one is better.

    Args:
        first, second: their names.
        test: "McNemar" for two runs, "Welch" for two folders of seeds, None where neither can be asked.
        found: what the test gave; see `mcnemar` and `welch`.
        p: its p after Holm's correction for all tests of the comparison.
        n: test images, or seeds of each.
        why: what stands in the way, where there is no test.
    """

    first: str
    second: str
    test: str | None
    found: dict | None = None
    p: float | None = None
    n: tuple[int, ...] = ()
    why: str = ""

    @property
    def better(self):
        """The name of the better one; None where none is shown to be."""
        if self.p is None or self.p >= SURE:
            return None
        return self.second if self.found["difference"] > 0 else self.first

    @property
    def told(self):
        """The difference of the test accuracies with its interval, and on how much it rests."""
        if self.test is None:
            return "-"
        low, high = self.found["interval"]
        basis = f"n = {self.n[0]:,}" if self.test == "McNemar" else f"{self.n[0]} and {self.n[1]} seeds"
        return f"{self.found['difference']:+.4f} [{low:+.4f}, {high:+.4f}], {basis}"

    @property
    def verdict(self):
        """In words. "Better" is said only where the test says so."""
        if self.test is None:
            return f"not tested: {self.why}"
        p, alone = shown_p(self.p), shown_p(self.found["p"])
        told = p if p == alone else f"{p}; by itself {alone}"
        if not self.better:
            return f"no difference shown ({told})"
        other = self.first if self.better == self.second else self.second
        return f"{self.better} is better than {other} ({told})"


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Args:
        compared: in the order given.
        pairs: a `Pair` for every two of them.
    """

    compared: tuple[Compared, ...]
    pairs: tuple[Pair, ...]

    @property
    def rows(self):
        """A dict for each of them, from the columns of `SCORES`, `TRAINING` and `COSTS` to text."""
        columns = {**SCORES, **TRAINING, **COSTS}
        return [{name: column(it) for name, column in columns.items()} for it in self.compared]

    @property
    def notes(self):
        """What the tests that were made say, and what they do not."""
        tested = [pair.test for pair in self.pairs if pair.test]
        corrected = [f"p is corrected for {len(tested)} tests (Holm)."] if len(tested) > 1 else []
        return [TESTS[test] for test in dict.fromkeys(tested)] + corrected


def compare(runs, figure=None):
    """Set finished runs side by side, and test every two of them on the same test images.

    Two runs are compared by McNemar's exact test: it says of these two models, as they were trained, whether the images they alone
    have right are more than chance. Folders of seeds are compared by Welch's t-test on the accuracies: it says whether the recipes
    differ, whatever the seed, but three seeds show only large differences. With more than one test each p is corrected (Holm).

    Args:
        runs: folders of runs or of seeds, two or more.
        figure: path of a PNG with their validation curves; None for none.

    Returns:
        A `Comparison`.

    Raises:
        UserError: fewer than two folders, or one that holds no finished run.

    Example:
        >>> compare(["runs/a", "runs/b"]).pairs[0].verdict  # doctest: +SKIP
        'no difference shown (p = 0.61)'
    """
    if len(runs) < 2:
        raise UserError(f"found {len(runs)} folder to compare; expected two or more, of runs or of seeds")
    compared = tuple(_read(_label(run, runs), Path(run)) for run in runs)
    pairs = [_test(*two) for two in itertools.combinations(compared, 2)]
    tested = [place for place, it in enumerate(pairs) if it.test]
    for place, p in zip(tested, holm([pairs[place].found["p"] for place in tested]), strict=True):
        pairs[place] = Pair(**{**vars(pairs[place]), "p": p})
    if figure:
        draw_overlaid(curves(compared), figure)
    return Comparison(compared, tuple(pairs))


def curves(compared):
    """The rows of history.csv of every run, by its name."""
    return {
        f"{it.name}/{folder.name}" if it.seeds else it.name: read_run_history(folder, metrics)
        for it in compared
        for folder, metrics in zip(it.folders, it.metrics, strict=True)
    }


def shown_p(p):
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def _label(run, runs):
    name = Path(run).name
    return name if [Path(other).name for other in runs].count(name) == 1 else str(run)


def _read(name, folder):
    refuse_links(folder)
    seeds, folders = (folder / SEEDS).is_file(), [folder]
    if seeds:
        folders = [folder / run for run in read_seeds(folder)["runs"]]
    return Compared(name, tuple(folders), tuple(map(read_metrics, folders)), seeds)


def _test(first, second):
    """The test of two, and what it gave."""
    names = first.name, second.name
    if why := _untestable(first, second):
        return Pair(*names, None, why=why)
    if first.seeds:
        accuracies = first.of("test", "accuracy"), second.of("test", "accuracy")
        return Pair(*names, "Welch", welch(*accuracies), n=tuple(map(len, accuracies)))
    right = [_right(it.folders[0], it.metrics[0]) for it in (first, second)]
    return Pair(*names, "McNemar", mcnemar(*right), n=(len(right[0]),))


def _untestable(first, second):
    """Why there is no test of two; None where there is one."""
    for it in (first, second):
        if not it.of("test", "accuracy"):
            return f"{it.name} was not scored on test images"
    if first.seeds != second.seeds:
        return "one has several seeds, the other is a single run"
    images = [{_images(metrics) for metrics in it.metrics} for it in (first, second)]
    if None in images[0] | images[1]:
        return "a run is from before kerastl kept what its test images were"
    if images[0] != images[1]:
        return "their test images are not the same"
    if first.seeds and 1 in (len(first.metrics), len(second.metrics)):
        return "of one seed nobody knows how far others would be off"
    return None


def _images(metrics):
    """What stands for the test images and their labels: their digest, how many they are, and of how many classes."""
    digest = metrics["data"].get("digests", {}).get("test")
    return digest and (digest, metrics["test"]["n"], len(metrics["test"]["per_class"]))


def _right(folder, metrics):
    """Where a run is right, image by image."""
    probabilities, labels = read_predictions(folder, "test", metrics)
    return probabilities.argmax(axis=1) == labels


def _scored(split):
    def column(it):
        if it.seeds:
            values = it.of(split, "accuracy")
            return shown_spread(mean_interval(values, 1.0)) if values else "-"
        return shown(it.metrics[0][split]) if split in it.metrics[0] else "-"

    return column


def _mean(form, values):
    """A column: the mean over the seeds, of a run its own."""

    def column(it):
        found = values(it)
        return form.format(mean(found)) if found and None not in found else "-"

    return column


def _image_rate(metrics):
    """Images a second that went through a training step, over all phases."""
    trained = [phase for phase in metrics["phases"] if phase["images_per_second"]]
    seconds = [phase["epochs"] / phase["images_per_second"] for phase in trained]
    return sum(phase["epochs"] for phase in trained) / sum(seconds)


def _megabytes(it):
    return [
        (folder / "model.keras").stat().st_size / 1e6 for folder in it.folders if (folder / "model.keras").is_file()
    ]


# Header -> from a `Compared` to text: how good it is.
NAME = {"run": lambda it: it.name}
SCORES = {
    **NAME,
    "test accuracy [95% interval]": _scored("test"),
    "test loss": _mean("{:.4f}", lambda it: it.of("test", "loss")),
    "top-5": _mean("{:.4f}", lambda it: it.of("test", "top5")),
    "calibration error": _mean("{:.4f}", lambda it: [found["ece"] for found in it.of("test", "calibration")]),
}
# What it was and what it saw.
TRAINING = {
    **NAME,
    "validation accuracy": _scored("validation"),
    "train accuracy": _mean("{:.4f}", lambda it: it.of("train", "accuracy")),
    "train images": _mean("{:,.0f}", lambda it: [metrics["data"]["train"] for metrics in it.metrics]),
    "backbone": lambda it: it.recipe["model"]["backbone"],
    "strategy": lambda it: it.recipe.get("strategy") or OWN_PHASES,
}
# Header -> from a `Pair` to text.
PAIRS = {
    "first": lambda pair: pair.first,
    "second": lambda pair: pair.second,
    "what it shows": lambda pair: pair.verdict,
    "test accuracy, second - first [95% interval]": lambda pair: pair.told,
    "right: first alone, second alone": lambda pair: (
        f"{pair.found['only_first']:,}, {pair.found['only_second']:,}" if pair.test == "McNemar" else "-"
    ),
}
# At what cost.
COSTS = {
    **NAME,
    "seconds": _mean("{:,.0f}", lambda it: [metrics["seconds"] for metrics in it.metrics]),
    "images/s in training": _mean("{:,.0f}", lambda it: list(map(_image_rate, it.metrics))),
    "parameters": _mean("{:,.0f}", lambda it: [metrics["parameters"] for metrics in it.metrics]),
    "megabytes": _mean("{:,.1f}", _megabytes),
    "peak memory MB": _mean(
        "{:,.0f}", lambda it: [(metrics["peak_memory_bytes"] or np.nan) / 1e6 for metrics in it.metrics]
    ),
}
