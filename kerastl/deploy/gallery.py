"""What the web page shows, without the page: the models of a folder, pictures that were looked at, examples, answers."""

import csv
import html
import io
import itertools
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from kerastl.data.decode import as_rgb, decode, opened
from kerastl.data.digits import load_digits
from kerastl.data.walk import images_below, is_litter
from kerastl.deploy.classifier import LABELS, holds_model
from kerastl.deploy.predict import Prediction, predict
from kerastl.deploy.uploads import MEGABYTES, MOST
from kerastl.errors import BrokenImage, UserError
from kerastl.files import refuse_links

SUFFIXES = ("jpg", "jpeg", "png", "webp")
FORMATS = ("JPEG", "MPO", "PNG", "WEBP")  # MPO: a phone's JPEG with a second picture in it
EDGE = 640  # of a picture as it is shown, in pixels
EXAMPLES = "examples"
REPORT = "report.html"
LARGEST = 100  # megabytes of a report
ONE_AT_A_TIME = threading.Lock()  # pictures that are decoded, whoever sent them: one may take a gigabyte
# A report stands in a frame in a frame. Neither may load anything but its own pictures and styles; the inner one may not run scripts,
# send itself elsewhere, or reach the page around it. Links within the report lead to places in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
OUTER = (
    f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    "<style>html, body, iframe {{ margin: 0; border: 0; width: 100%; height: 100%; display: block }}</style>"
    '<iframe sandbox title="Report of the run" srcdoc="{inner}"></iframe>'
)
INNER = '<!doctype html><base href="about:srcdoc">'


@dataclass(frozen=True)
class Picture:
    """A picture as it came and as a model sees it.

    Args:
        name: of the file.
        shown: a Pillow image, upright, in RGB, at most 640 pixels wide and high; None where it is broken.
        pixels: uint8 array of the model's size; None where it is broken.
        error: what is wrong with it, or None.
    """

    name: str
    shown: Image.Image | None = None
    pixels: np.ndarray | None = None
    error: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a model says of a picture.

    Args:
        picture: the `Picture`.
        said: the `Prediction`, of all classes.
        heat: float32 array of shape (height, width), 0 to 1: where the evidence for the first class is; None where the file
            holds no layers to look into.
    """

    picture: Picture
    said: Prediction
    heat: np.ndarray | None


def models_in(folder):
    """The models of a folder: run folders, folders of exports, and files.

    Args:
        folder: its path.

    Returns:
        A dict from name to path. What leads out of the folder is not among them.

    Raises:
        UserError: no such folder, or none in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with run folders or exports, as runs or saved_models")
    root = Path(os.path.realpath(folder))
    inside = [path for path in sorted(folder.iterdir()) if Path(os.path.realpath(path)).is_relative_to(root)]
    found = {path.name: path for path in inside if not is_litter(path.name) and holds_model(path)}
    if not found:
        raise UserError(
            f"{folder}: holds no model; expected run folders or exports in it, as kerastl train writes them"
        )
    return found


def stamp(path):
    """A number that is another one when a model or its labels were written again, in nanoseconds."""
    below = [path, path / LABELS, path.parent / LABELS, *(path.iterdir() if path.is_dir() else ())]
    return max(each.stat().st_mtime_ns for each in below if each.exists())


def look_at(name, raw, size):
    """Open what somebody gave for a picture.

    Args:
        name: of the file.
        raw: its bytes, or what else `decode` takes.
        size: height and width that the model takes.

    Returns:
        A `Picture`, with the reason where it cannot be opened.
    """
    try:
        if isinstance(raw, bytes) and len(raw) > MEGABYTES * 10**6:
            raise BrokenImage(f"{len(raw) / 1e6:.0f} MB; expected at most {MEGABYTES} MB: make it smaller")
        with ONE_AT_A_TIME, opened(raw) as image:
            if isinstance(raw, bytes) and image.format not in FORMATS:
                raise BrokenImage(f"a picture of format {image.format}; expected JPEG, PNG or WebP")
            upright = as_rgb(image)
            pixels = decode(upright, size)
            upright.thumbnail((EDGE, EDGE))
        return Picture(name, upright, pixels)
    except BrokenImage as error:
        return Picture(name, error=str(error))


def answers(classifier, pictures):
    """What a model says of pictures, and where it looked.

    Args:
        classifier: a `Classifier`.
        pictures: `Picture`s, none of them broken.

    Returns:
        A list with an `Answer` for each, and the milliseconds that the answers took, heatmaps not counted.
    """
    pixels = [picture.pixels for picture in pictures]
    began = time.perf_counter()
    said = predict(classifier, pixels, top=None)
    took = 1e3 * (time.perf_counter() - began)
    rows = zip(pictures, said, _heats(classifier, pixels), strict=True)
    return [Answer(picture, replace(it, file=picture.name), heat) for picture, it, heat in rows], took


def _heats(classifier, pixels):
    try:
        return classifier.evidence(np.stack(pixels))
    except UserError:  # the page says that there are none
        return [None] * len(pixels)


def warm_up(classifier):
    """Let the first answers be as quick as the later ones."""
    height, width = classifier.size
    blank = Picture("blank", pixels=np.zeros((height, width, 3), np.uint8))
    for count in (1, 2):  # once TensorFlow has seen two sizes of batch, it is ready for all
        answers(classifier, [blank] * count)


def examples(path):
    """Pictures to try a model on.

    Args:
        path: of the model. Images in the folder `examples` in it come first; then what scikit-learn brings along.

    Returns:
        A dict from what it is to what `decode` takes.
    """
    found = images_below(path / EXAMPLES) if path.is_dir() else ()
    own = (each for each, broken in found if not broken and _is_inside(each, path))
    return {each.name: each for each in itertools.islice(own, MOST)} | _bundled()


def _bundled():
    from sklearn.datasets import load_sample_image

    scans = load_digits().train
    firsts = {f"Scan of a {digit}": int(np.flatnonzero(scans.labels == digit)[0]) for digit in (3, 5, 8)}
    photos = {"Photo of a flower": load_sample_image("flower.jpg"), "Photo of a temple": load_sample_image("china.jpg")}
    return photos | {name: scans.pixels[place] for name, place in firsts.items()}


def table(said, class_names):
    """All probabilities as comma-separated values: a row for each image, a column for each class.

    Args:
        said: `Prediction`s of all classes.
        class_names: in label order.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", *class_names])
    for it in said:
        given = dict(zip(it.classes, it.probabilities, strict=True))
        rows.writerow([it.file, *(f"{given[name]:.6g}" for name in class_names)])
    return text.getvalue()


def enlarged(pixels, edge=EDGE // 2):
    """Small pictures larger, each pixel a square, so that they can be seen.

    Args:
        pixels: uint8 array of shape (height, width, 3).
        edge: at least this many pixels wide.
    """
    times = -(-edge // pixels.shape[1])
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def report_of(path):
    """The report in the folder of a run, as HTML; None where there is none.

    Raises:
        UserError: it is a link, or larger than a report is.
    """
    file = path / REPORT
    if not os.path.lexists(file):
        return None
    if not file.is_file() or not _is_inside(file, path):
        raise UserError(f"{file}: is no file of this folder, but a link or the like; nothing is shown of it")
    if file.stat().st_size > LARGEST * 10**6:
        raise UserError(f"{file}: {file.stat().st_size / 1e6:.0f} MB; expected a report of at most {LARGEST} MB")
    return file.read_text(encoding="utf-8", errors="replace")


def refuse_links_of(path):
    """Refuse a model of which a part is a link: it could show what is elsewhere.

    Of links that stand for a report or examples nothing is shown, and the model is there all the same.

    Args:
        path: of the model: a folder or a file.

    Raises:
        UserError: naming the link.
    """
    labels = path.parent / LABELS
    parts = [labels] if os.path.lexists(labels) and not (path / LABELS).is_file() else []
    parts += [each for each in path.iterdir() if each.name not in (REPORT, EXAMPLES)] if path.is_dir() else []
    for part in parts:
        if not _is_inside(part, part.parent):
            raise UserError(f"{part}: is a link; the page follows none. Put a copy of what it leads to in its place")
        if part.is_dir():
            refuse_links(part)


def _is_inside(file, folder):
    """Whether a file is really in a folder, not by way of a link."""
    real = os.path.realpath(folder)
    return os.path.realpath(file) == os.path.join(real, os.path.relpath(file, folder))  # noqa: PTH118


def sealed(report):
    """A report as a page that can do nothing but be read, whoever wrote it."""
    return OUTER.format(inner=html.escape(INNER + report))
