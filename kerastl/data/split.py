"""Train, validation, test: seeded, stratified, and with no image in two of them."""

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from sklearn.model_selection import train_test_split

from kerastl.data.images import Images
from kerastl.errors import UserError


@dataclass(frozen=True)
class Data:
    """The three splits of a recipe.

    Args:
        train, validation, test: `Images`; `validation` is None where the recipe asks for none.
        class_names: names in label order.
        superclasses: for each class, the coarser class it belongs to, or None.
        duplicates: exact duplicates across splits, `{"train-test": {"found": 3, "removed": 0}, ...}`.
        skipped: names of the broken images that were left out.
    """

    train: Images
    validation: Images | None
    test: Images
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None = None
    duplicates: dict = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @property
    def counts(self):
        """How many images there are to train on and to validate on: what a plan needs to know of them."""
        return len(self.train), len(self.validation or ())

    @property
    def digests(self):
        """From split to a digest of its images and labels, in their order: alike only for the same data."""
        return {name: _digest(getattr(self, name)) for name in ("train", "validation", "test")}

    @property
    def shape(self):
        """Height, width and channels of one image."""
        return self.train.shape


def _digest(images):
    if images is None:
        return None
    parts = (images.digests, np.ascontiguousarray(images.labels))
    return hashlib.blake2b(b"".join(part.tobytes() for part in parts), digest_size=16).hexdigest()


def split(source, spec, seed):
    """Turn what a dataset offers into the splits of a recipe.

    The test split is the dataset's own, or a held-out share where it has none; so is the validation split, and a share of 0
    means that everything but the test split trains. `limit` first keeps so many training images,
    and the validation share comes out of those: with few labels, validation has few as well. An exact duplicate across two
    splits is reported; where kerastl made one of the two itself, the copy is removed from train, or from validation where the
    other is in test.

    Args:
        source: a `Source`.
        spec: a `DataSpec`: validation, test and limit.
        seed: of the draws.

    Returns:
        `Data`.

    Raises:
        UserError: shares, a limit or duplicates that leave a class without images to train on, or validation without any.
    """
    train, validation, test, duplicates = source.train, source.validation, source.test, {}
    names = source.class_names
    own_test = test is None
    if own_test:
        train, test = _shares(train, spec.test, seed, "data.test", names)
    if spec.limit is not None and spec.limit < len(train):
        train = _limited(train, spec.limit, seed, names)
    if validation is not None and not spec.validation:
        train, validation = train.joined(validation), None
    own_validation = validation is None and spec.validation > 0
    if own_validation:
        train, validation = _shares(train, spec.validation, seed, "data.validation", names)
    if validation is not None:
        train, duplicates["train-validation"] = _without(train, validation, remove=own_validation)
        validation, duplicates["validation-test"] = _without(validation, test, remove=own_validation or own_test)
    train, duplicates["train-test"] = _without(train, test, remove=own_test)
    _check(source, train, validation)
    return Data(train, validation, test, names, source.superclasses, duplicates, source.skipped)


def _shares(images, share, seed, key, names):
    """What stays, and the held-out share: both with every class."""
    parts = _draw(images, share, seed)
    few = np.bincount(images.labels)
    few = few[few > 0].min()
    least, most = math.ceil(1000 / few) / 1000, math.floor(1000 - 1000 / few) / 1000
    remedy = f"a share from {least} to {most}" if few > 1 else "two images or more of every class"
    _refuse_left_out(parts, images, names, f"{key} = {share}", remedy)
    return parts


def _limited(images, limit, seed, names):
    """So many of the images, with every class."""
    left = len(images) - limit
    part = _draw(images, left, seed, stratified=left >= len(names))[0]
    counts = np.bincount(images.labels)
    remedy = f"a limit of {math.ceil(len(images) / counts[counts > 0].min())} or more"
    _refuse_left_out([part], images, names, f"data.limit = {limit}", remedy)
    return part


def _draw(images, held_out, seed, stratified=True):
    """Two parts in their first order: what stays, and the `held_out` share or number; none where that cannot be done."""
    places, classes = np.arange(len(images)), images.labels if stratified else None
    try:
        parts = train_test_split(places, test_size=held_out, stratify=classes, random_state=seed)
    except ValueError:  # fewer images than classes on one side, or a class of one image
        parts = [places[:0]] * 2
    return [images.subset(np.sort(part)) for part in parts]


def _refuse_left_out(parts, images, names, asked, remedy):
    """The error for a draw that leaves a class without images on one side, naming the smallest such class."""
    counts = np.bincount(images.labels, minlength=len(names))
    left_out = [place for part in parts for place in _absent(part, names) if counts[place]]
    if left_out:
        name = names[min(left_out, key=counts.__getitem__)]
        raise UserError(
            f"{asked} cannot be honoured for {len(images):,} images in {np.count_nonzero(counts)} classes: it leaves a part "
            f"without {name} (of which there are {counts[names.index(name)]}); expected {remedy}"
        )


def _absent(images, names):
    """The classes of which there is no image."""
    return np.flatnonzero(np.bincount(images.labels, minlength=len(names)) == 0).tolist()


def _check(source, train, validation):
    """Every class trains, and validation is not empty."""
    names = source.class_names
    if never := _absent(source.train, names):
        raise UserError(f"found no training image of {names[never[0]]}; add some, or take the class out")
    lost = [names[label] for label in _absent(train, names)]
    if lost:
        raise UserError(
            f"{len(train)} of {len(source.train)} images are left to train on after data.limit, the held-out shares and the "
            f"removal of exact duplicates, none of them of {', '.join(lost[:5])}{', ...' * (len(lost) > 5)}; expected some of "
            "every class: raise data.limit, lower data.validation or data.test, or take the duplicates out"
        )
    if validation is not None and not len(validation):
        raise UserError(
            "data.validation: every image held out is an exact copy of a test image; raise it, or take the duplicates out"
        )


def _without(images, others, remove):
    """The images, and how many of them stand in `others` too; with `remove` those are left out."""
    double = np.isin(images.digests, others.digests)
    found = int(double.sum())
    if remove and found:
        images = images.subset(np.flatnonzero(~double))
    return images, {"found": found, "removed": found if remove else 0}
