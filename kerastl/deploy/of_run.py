"""The exports of a run: what they are compared, calibrated and judged on comes from its data."""

from pathlib import Path

import numpy as np

from kerastl.data.load import load
from kerastl.deploy.card import write_card
from kerastl.deploy.export import export
from kerastl.deploy.formats import check_formats
from kerastl.deploy.labels import LABELS
from kerastl.errors import UserError
from kerastl.files import disk_told, refuse_links
from kerastl.model.untrusted import load_untrusted
from kerastl.recipe import recipe
from kerastl.run_files import broken
from kerastl.run_folder import METRICS, check_model, read_labels, read_metrics
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
        out: where the files go; absent, where the recipe has them.
        temperature: divide by the fitted temperature inside the files; absent, as the recipe says. See `export`.

    Returns:
        The folder of the exports, and what `export` gave.

    Raises:
        UserError: no finished run there, its data is gone, or no such format.
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
    spec = recipe(folder / "recipe.toml")
    formats = spec.export.formats if formats is None else tuple(formats)
    if not formats:
        raise UserError(f"{folder}: its recipe exports nothing; expected --formats, as keras,onnx")
    check_formats(formats)
    out = Path(out) if out else folder_of(spec)
    labels, metrics = read_labels(folder), read_metrics(folder)
    if "temperature" not in metrics or "plan" not in metrics:
        raise UserError(
            f"{folder}: its metrics.json is of an earlier kerastl; expected a run of this one: train it again"
        )
    if told := problem(metrics, CARD | ({"test": TEMPERED} if labels.get("temperature") and "test" in metrics else {})):
        raise broken(folder / METRICS, told)
    data = load(spec.data, spec.model.image_size, spec.seed)
    model = load_untrusted(folder / "model.keras")
    check_model(folder / "model.keras", model, data)
    if labels["classes"] != list(data.class_names):
        raise broken(folder / LABELS, "its classes are not those of the data; expected the same, in the same order")
    wanted = spec.export.temperature if temperature is None else temperature
    with disk_told(out):
        kept = export_trained(model, data, labels, metrics, out, formats, wanted)
        write_card(out, model, metrics, kept)
    return out, kept


def export_trained(model, data, labels, metrics, folder, formats, temperature):
    """Export a model that was trained on, and judged on, some data.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        data: its `Data`.
        labels: what labels.json holds.
        metrics: what metrics.json holds; without a verdict on the test split, no export is judged on it.
        folder, formats, temperature: see `export`.
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
    )


def folder_of(spec):
    """Where a recipe has its exports."""
    return Path(spec.export.folder) / spec.name


def spread(images, count):
    """Pixels of some images from all over a split, which may be in the order of its classes."""
    return images.subset(np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)).pixels[:]
