"""Answers to images: a stream of files of any kind in, names of classes and their probabilities out."""

import itertools
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from kerastl.data.decode import decode
from kerastl.data.threads import ahead
from kerastl.data.walk import images_below, refuse_missing
from kerastl.deploy.classifier import as_classifier
from kerastl.errors import BrokenImage, UserError

CHUNK = 8  # images that a thread decodes at once
NO_NUMBERS = "the model's answer is no number (NaN): its weights are damaged, or its numbers too large for their type"
ONE = (str, os.PathLike, bytes, Image.Image)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        file: its path as it was found; of an image that is no file, its place: "image 0", "image 1".
        classes: names, the most probable first; empty for a broken image.
        probabilities: of these classes, with the temperature of the model applied.
        error: why the image cannot be read; None for a sound one.
    """

    file: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str | None = None


def predict(model, images, *, top=5, batch=64, flip=False, class_names=None):
    """Say what is in images.

    Each is cropped to its middle square and brought to the size that the model takes, as in training.

    Args:
        model: a run folder, a SavedModel, a `.keras`, `.h5`, `.onnx` or `.tflite` file (see `open_model`), a `Classifier`, or
            a `keras.Model` from raw pixels to probabilities.
        images: a path; a folder, which is searched with all its sub-folders in the order of names; a Pillow image; a uint8 array of
            shape (height, width, 3); the bytes of an encoded image; or any iterable of these. Whatever Pillow opens, of any
            size, turned as EXIF says.
        top: how many classes, the most probable first; None for all.
        batch: images that the model is given at once.
        flip: answers by the mean over each image and its mirror image.
        class_names: in label order, for a model that brings none or others.

    Returns:
        A list with a `Prediction` for each image, in order. One that is broken has its `error`, and no classes.

    Raises:
        UserError: no such path, a folder without images, class names that do not fit, or what `open_model` refuses.

    Example:
        >>> import keras, numpy as np
        >>> image = keras.Input((2, 2, 3))
        >>> brightness = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
        >>> model = keras.Model(image, keras.layers.Softmax()(brightness))
        >>> red = np.full((40, 30, 3), (255, 0, 0), np.uint8)
        >>> [answer] = predict(model, red, top=2, class_names=["red", "green", "blue"])
        >>> answer.classes, [round(p, 2) for p in answer.probabilities]
        (('red', 'green'), [0.58, 0.21])
    """
    return list(predict_stream(model, images, top=top, batch=batch, flip=flip, class_names=class_names))


def predict_stream(model, images, *, top=5, batch=64, flip=False, class_names=None):
    """Say what is in images, one after another: for more of them than there is room for answers.

    Files are found, read and decoded ahead of the model, but only a few batches. Of a folder, the names in it are held, as they
    are sorted; of a million images in sub-folders, those of one sub-folder.

    Args:
        model, images, top, batch, flip, class_names: as for `predict`.

    Yields:
        A `Prediction` for each image, in order.

    Raises:
        UserError: as for `predict`.

    Example:
        >>> for answer in predict_stream("runs/first", "photos"):  # doctest: +SKIP
        ...     print(answer.file, answer.error or answer.classes[0])
        photos/1.jpg cat
        photos/2.jpg the file is empty
    """
    classifier = as_classifier(model)
    names = np.array(_names_for(classifier, class_names), object)
    stream, full = decoded(images, classifier.size, batch), None
    while some := list(itertools.islice(stream, batch)):
        full = full or len(some)  # the last batch is as large as the first: another size would be traced anew
        pixels = np.zeros((full, *classifier.size, 3), np.uint8)
        for row, (_, image, _) in zip(pixels, some, strict=False):
            row[:] = 0 if image is None else image
        probabilities = classifier.answer(pixels, flip)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        best = np.take_along_axis(probabilities, order, axis=1).tolist()
        sound = np.isfinite(probabilities).all(axis=1)
        for (file, _, error), places, answers, numbers in zip(some, order, best, sound, strict=False):
            error = error or (None if numbers else NO_NUMBERS)
            yield Prediction(file, error=error) if error else Prediction(file, tuple(names[places]), tuple(answers))


def _names_for(classifier, class_names):
    names = tuple(class_names or classifier.class_names)
    if len(names) != len(classifier.class_names):
        raise UserError(f"class_names: found {len(names)}; {classifier.path} has {len(classifier.class_names)} classes")
    return names


def decoded(images, size, batch):
    """Read images, a few batches ahead of whoever takes them.

    Args:
        images: as `predict` takes them.
        size: height and width of what comes out.
        batch: how many are taken at once.

    Yields:
        The name of each, its pixels or None, and what is wrong with it or None.
    """
    return ahead(partial(_decoded, size=size), named(images), CHUNK, least=2 * batch)


def _decoded(named, size):
    """The name of an image, its pixels or None, and what is wrong with it or None."""
    name, item = named
    try:
        if isinstance(item, BrokenImage):
            raise item
        return name, decode(item, size), None
    except BrokenImage as error:
        return name, None, str(error)


def named(images):
    """Pairs of a name and what `decode` takes, or a `BrokenImage`."""
    if isinstance(images, str | os.PathLike):
        refuse_missing(images)
    alone = isinstance(images, ONE) or (isinstance(images, np.ndarray) and images.ndim < 4)
    folders, found = [], False
    for place, item in enumerate([images] if alone else images):
        pairs = [(f"image {place}", item)]
        if isinstance(item, str | os.PathLike):
            pairs = [(str(item), Path(item))]
            if Path(item).is_dir():
                folders.append(str(item))
                pairs = ((str(path), broken or path) for path, broken in images_below(item))
        for pair in pairs:
            found = True
            yield pair
    if folders and not found:
        raise UserError(f"{', '.join(folders)}: found no image; expected files such as .jpg or .png, at any depth")
