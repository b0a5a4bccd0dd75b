"""Train, validation, test: seeded, stratified, and with no image in two of them."""

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
    """

    train: Images
    validation: Images | None
    test: Images
    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] | None = None
    duplicates: dict = field(default_factory=dict)

    @property
    def counts(self):
        """How many images there are to train on and to validate on: what a plan needs to know of them."""
        return len(self.train), len(self.validation or ())

    @property
    def shape(self):
        """Height, width and channels of one image."""
        return self.train.shape


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
    own_test = test is None
    if own_test:
        train, test = _draw(train, spec.test, seed, "data.test")
    if spec.limit is not None and spec.limit < len(train):
        train = _draw(train, len(train) - spec.limit, seed, "data.limit")[0]
    if validation is not None and not spec.validation:
        train, validation = train.joined(validation), None
    own_validation = validation is None and spec.validation > 0
    if own_validation:
        train, validation = _draw(train, spec.validation, seed, "data.validation")
    if validation is not None:
        train, duplicates["train-validation"] = _without(train, validation, remove=own_validation)
        validation, duplicates["validation-test"] = _without(validation, test, remove=own_validation or own_test)
    train, duplicates["train-test"] = _without(train, test, remove=own_test)
    _check(source, train, validation)
    return Data(train, validation, test, source.class_names, source.superclasses, duplicates)


def _draw(images, held_out, seed, key):
    """Two stratified parts, in their first order: what stays, and the `held_out` share or number."""
    try:
        stays, goes = train_test_split(
            np.arange(len(images)), test_size=held_out, stratify=images.labels, random_state=seed
        )
    except ValueError as error:
        counts = np.bincount(images.labels, minlength=1)
        raise UserError(
            f"{key} cannot be honoured for {len(images)} images in {np.count_nonzero(counts)} classes "
            f"(the smallest has {min(counts[counts > 0], default=0)}): {error}"
        ) from None
    return images.subset(np.sort(stays)), images.subset(np.sort(goes))


def _check(source, train, validation):
    """Every class trains, and validation is not empty."""
    lost = [source.class_names[label] for label in np.setdiff1d(source.train.labels, train.labels)]
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
