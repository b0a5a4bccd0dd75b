"""The exports of a run: what they are compared, calibrated and judged on comes from its data."""

import hashlib
from pathlib import Path

import numpy as np

from kerastl.data.load import load
from kerastl.deploy.card import write_card
from kerastl.deploy.export import export, files_of
from kerastl.deploy.formats import check_formats
from kerastl.deploy.labels import LABELS
from kerastl.errors import UserError
from kerastl.files import disk_told, refuse_links
from kerastl.model.graph import digest_of_weights
from kerastl.model.untrusted import load_untrusted
from kerastl.outputs import (
    RUN,
    Taken,
    check_apart,
    check_folder,
    check_outputs,
    exports_in,
    places,
    refuse_taken,
    run_id,
)
from kerastl.recipe import as_begun, recipe
from kerastl.run_files import broken
from kerastl.run_folder import METRICS, check_classes, check_model, read_labels, read_metrics
from kerastl.shapes import SHARE, problem

# What the card tells, beyond what every metrics.json holds.
CARD = {
    "plan": [{"settings": {"optimizer": str}}],
    "recipe": {"description": str, "evaluate": {"flip": bool}},
    "test?": {"calibration": {"ece": SHARE}},
}
TEMPERED = {"calibration": {"ece": SHARE, "tempered": {"ece": SHARE}}}
PROOF = 32  # training images on which exports are compared
CALIBRATION = 128  # training images by which int8 is calibrated


def export_run(folder, formats=None, out=None, temperature=None):
    """Export the model of a finished run, to what its recipe says or to other formats.

    Args:
        folder: of the run; it is only read.
        formats: names in `kerastl.deploy.formats.FORMATS`; absent, those of the recipe.
        out: where the files go; absent, where the run has its exports, or where the recipe has them.
        temperature: divide by the fitted temperature inside the files; absent, as the recipe says. See `export`.

    Returns:
        The folder of the exports, and what `export` gave.

    Raises:
        UserError: no finished run there, its data is gone, no such format, or a folder that holds something else, cannot be
            written to, or is inside the images.
        MissingExtra, ExportError: see `export`.

    Example:
        >>> folder, kept = export_run("runs/first", ["onnx", "litert-int8"])  # doctest: +SKIP
        >>> kept["litert-int8"]["test"]["accuracy_lost"]  # doctest: +SKIP
        0.0022
    """
    folder = Path(folder)
    refuse_links(folder)
    needed = ("model.keras", "recipe.toml", "metrics.json", LABELS)
    if missing := [name for name in needed if not (folder / name).is_file()]:
        raise UserError(f"{folder}: no finished run, as it has no {missing[0]}; expected {', '.join(needed)}")
    spec = as_begun(recipe(folder / "recipe.toml"), folder)
    formats = spec.export.formats if formats is None else tuple(formats)
    if not formats:
        raise UserError(f"{folder}: its recipe exports nothing; expected --formats, as keras,onnx")
    check_formats(formats)
    run = run_id(folder) or _id_of(folder)
    if out is None:
        check_outputs(spec, run=run)
    else:
        check_apart(out, spec.data)
        check_folder(out)
        if RUN in (exports_in(out) or {RUN: None}):  # otherwise its weights have to be looked at
            refuse_taken(out, run, files_of(formats))
    labels, metrics = read_labels(folder), read_metrics(folder)
    if "temperature" not in metrics or "plan" not in metrics:
        raise UserError(
            f"{folder}: its metrics.json is of an earlier kerastl; expected a run of this one: train it again"
        )
    if told := problem(metrics, CARD | ({"test": TEMPERED} if labels.get("temperature") and "test" in metrics else {})):
        raise broken(folder / METRICS, told)
    data = load(spec.data, spec.model.image_size, spec.seed)
    check_classes(folder, data)
    model = load_untrusted(folder / "model.keras")
    check_model(folder / "model.keras", model, data)
    wanted = spec.export.temperature if temperature is None else temperature
    how = {"formats": formats, "temperature": wanted, "run": run}
    if out is None:
        out, kept = export_in_place(spec, model, data, labels, metrics, **how)
        write_card(out, model, metrics, kept)
        return out, kept
    with disk_told(out):
        kept = export_trained(model, data, labels, metrics, out, **how)
        write_card(out, model, metrics, kept)
    return Path(out), kept


def export_in_place(spec, model, data, labels, metrics, **how):
    """As `export_trained`, into the run's own folder, or the first of NAME, NAME-2, ... that is free.

    Args:
        spec: its `Recipe`.
        model, data, labels, metrics: see `export_trained`.
        **how: its formats, temperature and run.

    Returns:
        The folder, and what `export` gave.
    """
    for folder in places(spec, how["run"], digest_of_weights(model)):
        try:
            with disk_told(folder):
                return folder, export_trained(model, data, labels, metrics, folder, **how)
        except Taken:  # by another process, since it was looked at
            continue


def export_trained(model, data, labels, metrics, folder, *, formats, temperature, run=None):
    """Export a model that was trained on, and judged on, some data.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        data: its `Data`.
        labels: what labels.json holds.
        metrics: what metrics.json holds; without a verdict on the test split, no export is judged on it.
        folder, formats, temperature, run: see `export`.
    """
    judged = metrics.get("test") and metrics["test"].get("without_flip", metrics["test"])
    return export(
        model,
        folder,
        formats,
        spread(data.train, PROOF),
        labels,
        calibration=spread(data.train, CALIBRATION),
        test=(data.test, judged["accuracy"]) if judged else None,
        temperature=temperature,
        run=run,
    )


def _id_of(folder):
    """What stands for the id of a run that an earlier kerastl made."""
    return hashlib.sha256((folder / "metrics.json").read_bytes()).hexdigest()[:16]


def spread(images, count):
    """Pixels of some images from all over a split, which may be in the order of its classes."""
    return images.subset(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)).pixels[:]
