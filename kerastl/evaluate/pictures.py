"""The pictures of a report: answers true and false, where the model looked, and what it saw while it learned."""

import itertools

import numpy as np
from PIL import Image

from kerastl.data.augment import mixing
from kerastl.data.batches import training_batches
from kerastl.errors import BrokenRun
from kerastl.evaluate.gradcam import gradcam, overlay
from kerastl.evaluate.page import picture
from kerastl.evaluate.verdict import grid_places
from kerastl.schema import AugmentSpec

MANY = 12  # pictures in a section
PAIRS = 6  # with and without heatmap
SIDE = 160  # pixels that a photo's longer side has in the page
LARGE = 128  # pixels at least of a picture with a heatmap: smooth over pixels that are seen
ANSWERS = "predictions_test.npz:probabilities"


def answered(images, probabilities, class_names, places):
    """Test images with what the model says of them.

    Args:
        images: `Images` of the test split.
        probabilities: array of shape (n, classes): those of predictions_test.npz.
        class_names: in label order.
        places: int array: which of them.

    Returns:
        A list of dicts: image (Markup), right, answer, truth, probability, and the key it has in the page.
    """
    some = images.subset(np.asarray(places))
    told = []
    for place, pixels, label in zip(places, some.pixels[:], some.labels, strict=True):
        answer = int(probabilities[place].argmax())
        words = {"right": bool(answer == label), "answer": class_names[answer], "truth": class_names[label]}
        alt = (
            f"{words['truth']}, taken for {words['answer']}" if not words["right"] else f"{words['truth']}, recognised"
        )
        value = float(probabilities[place, answer])
        told.append(
            {"image": picture(pixels, alt, SIDE), "probability": value, "key": f"{ANSWERS}.{place}.{answer}", **words}
        )
    return told


def true_and_false(images, probabilities, class_names, seed):
    """The test images of predictions.png."""
    return answered(images, probabilities, class_names, grid_places(len(images), seed))


def surest_mistakes(labels, probabilities, count=MANY):
    """The places of the wrong answers with the highest probability, the surest first.

    Example:
        >>> surest_mistakes(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])).tolist()
        [1, 2]
    """
    sure = np.where(probabilities.argmax(axis=1) == labels, -1.0, probabilities.max(axis=1))
    order = np.argsort(-sure, kind="stable")
    return order[sure[order] >= 0][:count]


def looked_at(model, images, probabilities, class_names, seed):
    """Grad-CAM for the answer given: for some right ones, drawn by the seed, and for the surest mistakes.

    Returns:
        A dict from "right" and "wrong" to what `answered` gives, with `heat`, the picture under its heatmap.
    """
    right = np.flatnonzero(probabilities.argmax(axis=1) == images.labels)
    drawn = np.sort(np.random.default_rng(seed).choice(right, min(PAIRS, len(right)), replace=False))
    chosen = {"right": drawn, "wrong": surest_mistakes(images.labels, probabilities, PAIRS)}
    return {name: _explained(model, images, probabilities, class_names, places) for name, places in chosen.items()}


def as_the_network_sees_them(data, recipe):
    """The first images of the first epoch, augmented and mixed as the recipe asks.

    Args:
        data: `Data`.
        recipe: a `Recipe`.

    Returns:
        A list of dicts: image (Markup), and names of the classes it shows.
    """
    classes = len(data.class_names)
    steps = training_batches(
        data.train, classes, recipe.train.batch_size, 1, seed=[recipe.seed, 0], augment_spec=recipe.augment
    )
    pixels, targets = (part.numpy()[:MANY] for part in next(iter(steps.take(1))))
    shown = []
    for image, target in zip(np.clip(np.round(pixels), 0, 255), targets, strict=True):
        names = [data.class_names[label] for label in np.argsort(-target, kind="stable")[:2] if target[label] > 0.01]
        shown.append({"image": picture(image, " and ".join(names), SIDE), "names": names})
    return shown


def copies(data, pairs):
    """Test images beside the training images that they are copies of.

    Args:
        data: `Data`.
        pairs: those of metrics.json: {"test", "train", "kind", "labels"}.
    """
    pictures = _by_name(data, ("test", "train"))
    return [
        it | {split: pictures(split, it[split], it["labels"][place]) for place, split in enumerate(("test", "train"))}
        for it in pairs[:PAIRS]
    ]


def doubted(data, suspects):
    """The images whose label is doubted most.

    Args:
        data: `Data`.
        suspects: those of metrics.json: {"split", "file" or "index", "label", "answer", "probability"}.
    """
    pictures = _by_name(data, {it["split"] for it in suspects[:MANY]})
    return [
        it
        | {
            "image": pictures(it["split"], it.get("file", it.get("index")), it["label"]),
            "key": f"trust.suspects.shown.{place}.probability",
        }
        for place, it in enumerate(suspects[:MANY])
    ]


def _by_name(data, splits):
    """A function from split, name of an image and label to its picture."""
    there = {split: getattr(data, split) for split in splits}
    places = {split: {it.name(place): place for place in range(len(it or ()))} for split, it in there.items()}

    def show(split, name, label):
        if not isinstance(name, str | int):
            raise BrokenRun(f"metrics.json: trust: {name!r} names no image; expected a file or a number")
        place = places[split].get(name)
        if place is None:  # the folder of images is seen from elsewhere, or was moved
            alike = max(places[split], key=lambda known: _same_end(known, name), default=None)
            if alike is None or not _same_end(alike, name):
                raise BrokenRun(
                    f"metrics.json: trust: names a {split} image that there is not; expected those of the data"
                )
            place = places[split][alike]
        pixels = there[split].pixels[[place]][0]
        return picture(pixels, f"labelled {label}, of the {split} split", SIDE)

    return show


def _same_end(one, other):
    """How many parts at the end of two paths are the same."""
    parts = (reversed(str(path).replace("\\", "/").split("/")) for path in (one, other))
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*parts, strict=False)))


def augmented(spec):
    """Whether a recipe changes its training images, and whether it mixes them."""
    return spec != AugmentSpec(), bool(mixing(spec))


def _explained(model, images, probabilities, class_names, places):
    told = answered(images, probabilities, class_names, places)
    if not told:
        return told
    pixels, labels = images.subset(places).pixels[:], probabilities[places].argmax(axis=1)
    heats = gradcam(model, pixels, labels)
    return [it | {"heat": _under(*pair, it["answer"])} for it, *pair in zip(told, pixels, heats, strict=True)]


def _under(pixels, heat, answer):
    image = Image.fromarray(pixels)
    times = -(-LARGE // max(image.size))
    image = image.resize([times * side for side in image.size], Image.Resampling.NEAREST)
    image.thumbnail((SIDE, SIDE))
    return picture(overlay(np.asarray(image), heat), f"where the evidence for {answer} is")
