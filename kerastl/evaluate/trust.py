"""How far a score can be trusted: copies of test images among the training images, and labels that are likely wrong."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from kerastl.data.alike import nearest, perceptual_hashes
from kerastl.data.threads import in_threads
from kerastl.evaluate.plots import OKABE_ITO, draw_pictures, named
from kerastl.evaluate.statistics import accuracy_interval

PAIRS, SUSPECTS = 20, 24  # as many are listed and drawn, of what may be thousands
AT_ONCE = 64  # images that a thread holds


class Copies(NamedTuple):
    """Which images of a test split stand among the training images as well.

    Args:
        exact: bool array of shape (n,): the same file, or the same pixels.
        near: bool array of shape (n,): not exact, and the same picture: saved again, resized, a little brighter; None where such
            ones were not looked for.
        train: int array of shape (n,): where among the training images; -1 where it is neither.
    """

    exact: np.ndarray
    near: np.ndarray | None
    train: np.ndarray


def examine(data, answered, spec, folder):
    """Look for what makes a test score say less than it seems to, and draw what was found into the run folder.

    Args:
        data: `Data`.
        answered: from split to its probabilities, of shape (n, classes): of test, and of validation where there is any.
        spec: the `Recipe`.
        folder: of the run.

    Returns:
        A dict for metrics.json: `test` (see `without_copies`; absent with `evaluate.duplicates = "none"`) and `suspects`.
    """
    table, copies = {}, find_copies(data.train, data.test, spec.evaluate.duplicates)
    if copies:
        table["test"] = without_copies(copies, data, answered["test"])
        draw_copies(copies, data, folder / "duplicates.png")
    return table | {"suspects": list_suspects(data, answered, folder / "suspects.png")}


def find_copies(train, test, kind="near"):
    """Find the images of a test split that were trained on.

    Args:
        train, test: `Images`.
        kind: exact, near (the same picture as well, not only the same file; then every image is read) or none.

    Returns:
        `Copies`; None for none. 60,000 images of 32 x 32 pixels in memory take three seconds of one core; of streamed images, near
        copies take as long as decoding them once.

    Example:
        >>> from kerastl.data.images import Images
        >>> pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
        >>> train, test = Images(pixels[:3], np.zeros(3)), Images(pixels[2:], np.zeros(2))
        >>> find_copies(train, test).train.tolist()
        [2, -1]
    """
    if kind == "none":
        return None
    first = {}
    for place, digest in enumerate(train.digests.tolist()):
        first.setdefault(digest, place)
    places = np.array([first.get(digest, -1) for digest in test.digests.tolist()], np.int64)
    exact = places >= 0
    if kind == "near":
        (train_hashes, train_flat), (test_hashes, test_flat) = map(_hashes, (train, test))
        mine, its = np.flatnonzero(~exact & ~test_flat), np.flatnonzero(~train_flat)
        unique, at = np.unique(train_hashes[its], return_index=True)
        found = nearest(test_hashes[mine], unique)
        places[mine[found >= 0]] = its[at[found[found >= 0]]]
    return Copies(exact, ~exact & (places >= 0) if kind == "near" else None, places)


def without_copies(copies, data, probabilities):
    """What `find_copies` found, in numbers, and the score without them.

    Args:
        copies: `Copies`.
        data: `Data`.
        probabilities: of the test split, of shape (n, classes).

    Returns:
        {"exact", "near", "pairs": the first of {"test", "train", "kind", "labels"}, "without_duplicates": {"n", "accuracy",
        "interval"}}; images are named by their file, or by their place in the split; the last is None where no image is left.
    """
    alone = copies.train < 0
    correct = int((probabilities.argmax(axis=1) == data.test.labels)[alone].sum())
    n = int(alone.sum())
    return {
        "exact": int(copies.exact.sum()),
        "near": None if copies.near is None else int(copies.near.sum()),
        "pairs": [
            {"test": data.test.name(place), "train": data.train.name(at), "kind": kind, "labels": labels}
            for place, at, kind, labels in _pairs(copies, data)
        ],
        "without_duplicates": {"n": n, "accuracy": correct / n, "interval": accuracy_interval(correct, n)}
        if n
        else None,
    }


def draw_copies(copies, data, path):
    """The first of the copies, each beside the training image that it is one of; nothing where there are none."""
    pixels, titles, colours = [], [], []
    for *places, kind, labels in _pairs(copies, data):
        for split, place, label, told in zip(("test", "train"), places, labels, ("", f", {kind} copy"), strict=True):
            images = getattr(data, split)
            pixels.append(images.pixels[[place]][0])
            titles.append(f"{named(split, images.name(place))}\n{label}{told}")
            colours.append(OKABE_ITO["right" if len(set(labels)) == 1 else "wrong"])
    if pixels:
        draw_pictures(pixels, titles, colours, path)


def list_suspects(data, answered, path):
    """The images of the judged splits whose label is doubted, the most doubtful listed and drawn.

    Args:
        data: `Data`.
        answered: from split to its probabilities, of shape (n, classes).
        path: of the picture, which is not made where there is none to show.

    Returns:
        {"n": of all, "shown": the first of {"split", "file" or "index", "label", "answer", "probability"}}.
    """
    splits = {name: getattr(data, name) for name in answered}
    origin = [(name, place) for name, images in splits.items() for place in range(len(images))]
    probabilities = np.concatenate(list(answered.values()))
    found = suspects(probabilities, np.concatenate([images.labels for images in splits.values()]))
    shown, pixels, titles = [], [], []
    for number in found[:SUSPECTS]:
        (split, place), answer = origin[number], int(probabilities[number].argmax())
        images, names = splits[split], [data.class_names[it] for it in (splits[split].labels[place], answer)]
        probability, name = float(probabilities[number, answer]), images.name(place)
        where = {"file" if isinstance(name, str) else "index": name}
        shown.append({"split": split, **where, "label": names[0], "answer": names[1], "probability": probability})
        pixels.append(images.pixels[[place]][0])
        titles.append(f"{named(split, name)}\nlabel: {names[0]}\nanswer: {names[1]} {probability:.0%}")
    if shown:
        draw_pictures(pixels, titles, ["black"] * len(titles), path)
    return {"n": len(found), "shown": shown}


def suspects(probabilities, labels):
    """Images whose label is likely wrong, by what a model that was not trained on them says: confident learning.

    A class is meant in earnest where its probability reaches the mean probability of its own images. An image is doubted
    when the strongest class that is meant in earnest is another one than its label, and so is the answer.

    Args:
        probabilities: array of shape (n, classes), of a model that did not learn these labels.
        labels: int array of shape (n,).

    Returns:
        Places of the images that are doubted, by the margin of the label over the best other class: the most doubtful first.

    Source:
        Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels, section 3.1.

    Example:
        >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9], [0.95, 0.05]])
        >>> suspects(probabilities, np.array([0, 0, 1, 1, 1])).tolist()
        [4]
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, own, minlength=probabilities.shape[1])
    thresholds = np.divide(sums, counts, out=np.full(len(sums), np.inf), where=counts > 0)
    earnest = np.where(probabilities >= thresholds, probabilities, -1.0)
    others = probabilities.astype(np.float64)
    others[rows, labels] = -1.0
    margins = own - others.max(axis=1)
    doubted = np.flatnonzero((earnest.max(axis=1) >= 0) & (earnest.argmax(axis=1) != labels) & (margins < 0))
    return doubted[np.argsort(margins[doubted], kind="stable")]


def _hashes(images):
    """Perceptual hashes, and which images are flat."""
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(images), AT_ONCE)]

    def look(part):
        return perceptual_hashes([Image.fromarray(pixels) for pixels in images.pixels[part]])

    hashes, flat = zip(*in_threads(look, parts, "look for near duplicates", chunk=1), strict=True)
    return np.concatenate(hashes), np.concatenate(flat)


def _pairs(copies, data):
    """Those that are listed and drawn, exact ones first: place in test, place in train, kind, the names of both labels."""
    found = np.flatnonzero(copies.train >= 0)
    for place in found[np.argsort(~copies.exact[found], kind="stable")][:PAIRS]:
        at, kind = copies.train[place], "exact" if copies.exact[place] else "near"
        yield place, at, kind, [data.class_names[it] for it in (data.test.labels[place], data.train.labels[at])]
