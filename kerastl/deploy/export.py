"""Export formats, one row each, and the proof that each answers as the model in memory does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from kerastl.errors import ExportError, brief
from kerastl.files import locked, sweep_up, whole, write_json

TOLERANCE = 1e-5
PATIENCE = 600  # seconds for which an export waits for another run's into the same folder


@dataclass(frozen=True)
class Format:
    """One row.

    Args:
        file: name in the export folder.
        write: from a model and a path to a file or folder.
        load: from the path to a function of a float32 image batch, without any of kerastl.
    """

    file: str
    write: Callable
    load: Callable


def _load_keras(path):
    model = keras.models.load_model(path, compile=False)
    return lambda images: model.predict(images, verbose=0)


def _load_saved_model(path):
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    return lambda images: next(iter(serve(image=tf.constant(images)).values())).numpy()


FORMATS = {
    "keras": Format("model.keras", lambda model, path: model.save(path), _load_keras),
    "h5": Format("model.h5", lambda model, path: model.save(path), _load_keras),
    "saved_model": Format("saved_model", lambda model, path: model.export(path, verbose=False), _load_saved_model),
}


def export(model, folder, formats, images, labels):
    """Write a model in several formats; keep those that, reloaded, give the same probabilities.

    Args:
        model: a `keras.Model` from raw pixels to probabilities.
        folder: where the files go; made where it is missing. Earlier ones are replaced, each in one move.
        formats: names in `FORMATS`.
        images: uint8 array of shape (n, height, width, 3): real images to compare on.
        labels: a dict for labels.json, as {"classes": [...]}.

    Returns:
        A dict from format to {"file", "megabytes", "max_difference"}.

    Raises:
        ExportError: a format cannot be written, reloaded, or differs by more than 1e-5; the others are in place.

    Example:
        >>> export(model, "saved_models/mine", ["keras"], images, {"classes": ["cat", "dog"]})  # doctest: +SKIP
        {'keras': {'file': 'model.keras', 'megabytes': 94.77, 'max_difference': 0.0}}
    """
    folder, proof = Path(folder), _bare_and_answers(model, images)
    kept, failed = {}, []
    with locked(folder, wait=PATIENCE):
        sweep_up(folder)
        for name in formats:
            try:
                kept[name] = _write_one(*proof, folder, FORMATS[name])
            except Exception as error:
                failed.append(f"{FORMATS[name].file} ({brief(error)})")
        write_json(folder / "labels.json", labels)
    if failed:
        in_place = ", ".join(FORMATS[name].file for name in kept) or "none"
        raise ExportError(
            f"{folder}: not kept, because it could not be proven equal to the model in memory: {'; '.join(failed)}. "
            f"In place: {in_place}. To leave a format out: --set export.formats='[\"keras\"]'"
        )
    return kept


def save_keras(model, path, images):
    """Write one `.keras` file, proven equal before it is put in place.

    Args:
        model: a `keras.Model`.
        path: where it goes.
        images: uint8 array of real images to compare on.

    Raises:
        ExportError: it differs when reloaded.
    """
    row = replace(FORMATS["keras"], file=Path(path).name)
    _write_one(*_bare_and_answers(model, images), Path(path).parent, row)


def _bare_and_answers(model, images):
    """The same layers without optimizer and loss, the images as floats, and what the layers make of them."""
    bare = keras.Model(model.inputs, model.outputs, name=model.name)
    samples = np.asarray(images, dtype=np.float32)
    return bare, samples, bare.predict(samples, verbose=0)


def _write_one(model, samples, expected, folder, row):
    with whole(folder / row.file) as written:
        row.write(model, written)
        difference = float(np.abs(row.load(written)(samples) - expected).max())
        if not difference <= TOLERANCE:
            raise ExportError(f"differs by {difference:.2g} when reloaded; expected at most {TOLERANCE:g}")
        size = sum(path.stat().st_size for path in [written, *written.rglob("*")] if path.is_file())
    # Rounded: two SavedModels of one model differ by some bytes.
    return {"file": row.file, "megabytes": round(size / 1e6, 2), "max_difference": difference}
