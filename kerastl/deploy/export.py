"""A model written in several formats, each reloaded by its own runtime and compared on real images before it is kept."""

import contextlib
import math
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import keras
import numpy as np

from kerastl.deploy.card import CARD
from kerastl.deploy.formats import FORMATS, TORN, check_formats
from kerastl.deploy.labels import LABELS
from kerastl.deploy.signatures import Source
from kerastl.errors import ExportError, KerastlWarning, UserError, brief
from kerastl.evaluate.calibration import with_temperature
from kerastl.evaluate.report import PAGE
from kerastl.files import locked, refuse_links, sweep_up, whole, write_json
from kerastl.model.graph import digest_of_weights
from kerastl.outputs import RUN, TABLE, exports_in, refuse_taken
from kerastl.train.progress import Bar

PATIENCE = 600  # seconds for which an export waits for another run's into the same folder
BATCHES = (1, 32)  # whose milliseconds are measured
REPEATS, SECONDS = 5, 1.0  # of a measurement, at most
LOGITS = "logits"  # the last layer with weights of every model that `build_model` makes


def export(model, folder, formats, images, labels, *, calibration=None, test=None, temperature=False, run=None):
    """Write a model in several formats; keep those that, reloaded, answer as it does.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        folder: where the files go; made where it is missing. Earlier ones are replaced, each in one move.
        formats: names in `kerastl.deploy.formats.FORMATS`, where it also stands how near each has to be.
        images: uint8 array of shape (n, height, width, 3): real images to compare on.
        labels: a dict for labels.json, as {"classes": [...]}; with "temperature", what the logits are to be divided by.
        calibration: uint8 array as `images`: training images by which int8 is calibrated; absent, `images`.
        test: `Images` of the test split and the accuracy of the model on them, for formats that trade accuracy for size.
        temperature: divide by the temperature of the labels inside the files, so that their probabilities are the calibrated ones;
            their labels then have none. Nothing is done where the labels have none.
        run: the id of the run whose model it is. export.json then names it, and a folder that holds anything else is refused.

    Returns:
        A dict, which export.json holds too beside the "run", from format to {"file", "weights": a digest, "megabytes",
        "max_difference": of a probability, "agreement": share of images with the same top class, "milliseconds_1" and
        "milliseconds_32": of a batch of that many, median}, and for formats that trade accuracy "test": {"n", "accuracy",
        "accuracy_lost"}.

    Raises:
        ExportError: a format cannot be written, reloaded, or is further off than its row allows; the others are in place, and its
            `kept` says which.
        UserError: no such format, or a folder with the exports of another run.
        MissingExtra: a package that a format needs is not installed.

    Example:
        >>> export(model, "saved_models/mine", ["keras"], images, {"classes": ["cat", "dog"]})  # doctest: +SKIP
        {'keras': {'file': 'model.keras', 'weights': '5d41...', 'megabytes': 94.77, 'max_difference': 0.0, ...}}
    """
    check_formats(formats)
    folder, samples = Path(folder), np.asarray(images, np.float32)
    refuse_links(folder)
    expected, inside = model.predict(samples, verbose=0), labels.get("temperature", 1.0) if temperature else 1.0
    if inside != 1.0:
        model, expected = tempered(model, inside), with_temperature(expected, inside)
        labels = {key: value for key, value in labels.items() if key != "temperature"}
    weights, kept, failed = digest_of_weights(model), {}, []
    with locked(folder, wait=PATIENCE), tempfile.TemporaryDirectory() as aside:
        sweep_up(folder)
        refuse_taken(folder, run, files_of(formats), weights)
        earlier = exports_in(folder) or {}
        owner = {RUN: run} if run else {RUN: earlier[RUN]} if RUN in earlier else {}
        if owner:
            write_json(folder / TABLE, earlier | owner)  # from now on it is this run's, should the process be killed
        source = Source(_bare(model), labels, images if calibration is None else calibration, Path(aside))
        for name in formats:
            row = FORMATS[name]
            try:
                with _proven(source, samples, expected, folder / row.file, row) as (answer, told):
                    kept[name] = {"file": row.file, "weights": weights, **told, **_milliseconds(answer, samples)}
                    if test and row.on_test:
                        kept[name]["test"] = _on_test(answer, *test, title=f"judge {row.file}")
            except Exception as error:
                kept.pop(name, None)
                failed.append(f"{row.file} ({brief(error)})")
        write_json(folder / LABELS, labels)
        write_json(folder / TABLE, owner | _still_there(folder, earlier, weights, kept) | kept)
    if failed:
        in_place = ", ".join(FORMATS[name].file for name in kept) or "none"
        raise ExportError(
            f"{folder}: not kept, because it was not proven to answer as the model in memory does: {'; '.join(failed)}. "
            f"In place: {in_place}. A format can be left out (export.formats, --formats)",
            kept,
        )
    return kept


def files_of(formats):
    """The names of all that is written for some formats of a run."""
    return [*(FORMATS[name].file for name in formats), LABELS, TABLE, CARD, PAGE]


def save_keras(model, path, images):
    """Write one `.keras` file, proven equal before it is put in place.

    Args:
        model: a `keras.Model`.
        path: where it goes.
        images: uint8 array of real images to compare on.

    Raises:
        ExportError: it differs when reloaded.
    """
    samples = np.asarray(images, np.float32)
    source = Source(_bare(model), {}, images, Path(path).parent)
    with _proven(source, samples, model.predict(samples, verbose=0), Path(path), FORMATS["keras"]):
        pass


def tempered(model, temperature):
    """A copy of a model whose probabilities are softmax(logits / temperature).

    Args:
        model: what `build_model` gave: its last layer with weights is `logits`.
        temperature: see `kerastl.evaluate.calibration.with_temperature`.

    Raises:
        UserError: the model has no such layer.

    Example:
        >>> image = keras.Input((1,), name="image")
        >>> model = keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(2, name="logits")(image)))
        >>> bool(np.allclose(tempered(model, 2.0).get_layer("logits").kernel, model.get_layer("logits").kernel / 2))
        True
    """
    if LOGITS not in [layer.name for layer in model.layers]:
        raise UserError(f"temperature: the model has no layer {LOGITS!r} to divide; expected one that kerastl built")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    last = copy.get_layer(LOGITS)
    last.set_weights([weight / temperature for weight in last.get_weights()])
    return copy


def _bare(model):
    """The same layers without optimizer and loss."""
    return keras.Model(model.inputs, model.outputs, name=model.name)


@contextlib.contextmanager
def _proven(source, samples, expected, path, row):
    """A file that takes its place when the block ends, having answered as it should: what answers, and how well."""
    with whole(path) as written:
        row.write(source, written)
        answer = row.load(written)
        size = sum(it.stat().st_size for it in [written, *written.rglob("*")] if it.is_file())
        # Rounded: two SavedModels of one model differ by some bytes.
        yield answer, {"megabytes": round(size / 1e6, 2), **_compared(answer(samples), expected, row)}


def _compared(found, expected, row):
    difference, places = float(np.abs(found - expected).max()), np.arange(len(expected))
    if not difference <= row.difference:
        raise ExportError(f"differs by {difference:.2g} when reloaded; expected at most {row.difference:g}")
    first, second = expected.argmax(axis=1), found.argmax(axis=1)
    lost = np.mean(expected[places, first] - expected[places, second] > TORN)
    if 1 - lost < row.agreement:
        raise ExportError(
            f"has another top class on {lost:.0%} of the images; expected at most {1 - row.agreement:.0%}"
        )
    return {"max_difference": difference, "agreement": float(np.mean(first == second))}


def _milliseconds(answer, samples):
    """Of a batch, after one that is not counted."""
    return {f"milliseconds_{size}": _median(answer, np.resize(samples, (size, *samples.shape[1:]))) for size in BATCHES}


def _median(answer, batch):
    answer(batch)
    times = []
    while len(times) < REPEATS and sum(times) < SECONDS:
        began = time.perf_counter()
        answer(batch)
        times.append(time.perf_counter() - began)
    return round(1e3 * median(times), 2)


def _on_test(answer, images, accuracy, title):
    right, size, bar = 0, BATCHES[-1], Bar()
    bar.open(title, math.ceil(len(images) / size))
    try:
        for start in range(0, len(images), size):
            some = slice(start, start + size)
            right += int((answer(images.pixels[some].astype(np.float32)).argmax(axis=1) == images.labels[some]).sum())
            bar.advance()
    finally:
        bar.close()
    own = right / len(images)
    return {"n": len(images), "accuracy": own, "accuracy_lost": accuracy - own}


def _still_there(folder, earlier, weights, kept):
    """Of earlier exports into a folder, those of the same weights; files of others do not belong beside these labels."""
    earlier = {name: it for name, it in earlier.items() if isinstance(it, dict)}
    others = {name: row.file for name, row in FORMATS.items() if name not in kept and (folder / row.file).exists()}
    same = {name: it for name, it in earlier.items() if name in others and it.get("weights") == weights}
    if strange := [file for name, file in others.items() if name not in same]:
        warnings.warn(
            f"{folder}: {', '.join(strange)} stood there before and may be of another model; export again or delete them",
            KerastlWarning,
            stacklevel=3,
        )
    return same
