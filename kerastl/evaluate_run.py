"""A finished run judged again, on a split of its own recipe."""

import warnings
from pathlib import Path

from kerastl.data.load import load
from kerastl.errors import KerastlWarning, UserError
from kerastl.evaluate.metrics import judge
from kerastl.evaluate.trust import find_copies, without_copies
from kerastl.evaluate.verdict import answers, headline
from kerastl.files import refuse_links
from kerastl.model.cut import activation_of
from kerastl.model.untrusted import load_untrusted
from kerastl.recipe import recipe
from kerastl.run_folder import METRICS, changed_splits, check_classes, check_model, read_metrics
from kerastl.voice import tell


def evaluate(folder, split="test"):
    """Judge the model of a finished run again, on the split of its own recipe.

    Args:
        folder: of the run.
        split: "test", "validation" or "train".

    Returns:
        A `Report`.

    Raises:
        UserError: see `judge_again`.

    Example:
        >>> evaluate("runs/first", "validation").accuracy  # doctest: +SKIP
        0.95
    """
    return judge_again(folder, split)[0]


def judge_again(folder, split="test"):
    """As `evaluate`, and for the test split what it says of copies among the training images.

    Args:
        folder: of the run.
        split: "test", "validation" or "train".

    Returns:
        A `Report`, and what `without_copies` gives: for the test split, where the recipe has copies looked for; or None.

    Raises:
        UserError: no run there, no such split in the recipe, data of other classes than the run's, or a model that could have
            been meant ill (see SECURITY.md).

    Warns:
        KerastlWarning: the images are no longer those of the run.
    """
    folder = Path(folder)
    refuse_links(folder)
    if not (folder / "model.keras").is_file():
        raise UserError(f"{folder}: no finished run; expected a folder with recipe.toml and model.keras")
    spec = recipe(folder / "recipe.toml")
    data = load(spec.data, spec.model.image_size, spec.seed)
    images = getattr(data, split, None)
    if images is None:
        raise UserError(f"{folder}: the recipe has no {split} split; expected train, validation or test")
    check_classes(folder, data)
    if (folder / METRICS).is_file() and (changed := changed_splits(read_metrics(folder), data)):
        warnings.warn(_told(folder, changed), KerastlWarning, stacklevel=2)
    model = load_untrusted(folder / "model.keras")
    check_model(folder / "model.keras", model, data)
    if (ending := activation_of(model.outputs[0])) != "softmax":
        found = ending or "something else"
        raise UserError(f"{folder / 'model.keras'}: ends in {found}; expected softmax, as kerastl trains it")
    _, probabilities = answers(model, images, spec, split)
    report = judge(probabilities, images.labels, data.class_names, spec.seed)
    copies = find_copies(data.train, data.test, spec.evaluate.duplicates) if split == "test" else None
    copies = copies and without_copies(copies, data, probabilities)
    tell("judged", run=str(folder), **headline({split: report.to_dict(), "trust": {"test": copies}}))
    return report, copies


def _told(folder, changed):
    told = f"{folder}: these images are not those of the run: {', '.join(changed)}; what is told is of those that are there now"
    if {"train", "test"} <= set(changed):
        told += "; where kerastl drew the splits itself, they are drawn anew, and the model may have been trained on some of them"
    return told
