"""Splits: stratified, seeded, and no image in two of them."""

import numpy as np
import pytest

from kerastl.data.images import Images, Source
from kerastl.data.split import split
from kerastl.errors import UserError
from kerastl.schema import DataSpec


def numbered(n, classes=4, start=0):
    """Images that carry their own number, so that each can be followed."""
    numbers = np.arange(start, start + n)
    pixels = np.zeros((n, 2, 2, 3), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = numbers % 256, numbers // 256
    return Images(pixels, numbers % classes)


def numbers(images):
    low, high = images.pixels[:, 0, 0, :2].astype(int).T
    return set((low + 256 * high).tolist())


def source(train=400, test=100, **more):
    return Source(tuple("abcd"), numbered(train), test=numbered(test, start=1000) if test else None, **more)


SHARES = [
    (DataSpec("x", validation=0.1), (360, 40, 100)),
    (DataSpec("x", validation=0.0), (400, 0, 100)),
    (DataSpec("x", validation=0.25, limit=80), (60, 20, 100)),
    (DataSpec("x", validation=0.1, limit=10_000), (360, 40, 100)),
]


@pytest.mark.parametrize(("spec", "sizes"), SHARES)
def test_sizes_balance_and_disjointness(spec, sizes):
    data = split(source(), spec, seed=0)
    splits = [data.train, data.validation, data.test]
    assert tuple(len(images or ()) for images in splits) == sizes
    present = [images for images in splits if images]
    assert len(set().union(*map(numbers, present))) == sum(sizes)
    for images in present:
        counts = np.bincount(images.labels, minlength=4)
        assert counts.max() - counts.min() <= 1
    assert numbers(data.test) == numbers(source().test), "a limit leaves the test split whole"


def test_a_test_share_is_held_out_where_there_is_none():
    data = split(source(test=0), DataSpec("x", validation=0.1, test=0.2), seed=0)
    assert (len(data.train), len(data.validation), len(data.test)) == (288, 32, 80)


def test_the_seed_decides():
    one, same, other = (numbers(split(source(), DataSpec("x"), seed).validation) for seed in (1, 1, 2))
    assert one == same != other


def test_validation_of_the_dataset_is_used_and_a_share_of_zero_trains_on_it():
    own = source(validation=numbered(40, start=2000))
    assert numbers(split(own, DataSpec("x"), 0).validation) == numbers(own.validation)
    everything = split(own, DataSpec("x", validation=0.0), 0)
    assert everything.validation is None and len(everything.train) == 440


def test_duplicates_between_the_dataset_s_own_splits_are_reported():
    doubled = Images(np.concatenate([numbered(400).pixels, numbered(3, start=1000).pixels]), np.arange(403) % 4)
    data = split(Source(tuple("abcd"), doubled, test=numbered(100, start=1000)), DataSpec("x", validation=0.0), 0)
    assert data.duplicates["train-test"] == {"found": 3, "removed": 0}


def test_duplicates_across_a_split_of_ours_are_removed():
    twice = Images(np.concatenate([numbered(200).pixels] * 2), np.tile(np.arange(200) % 4, 2))
    data = split(Source(tuple("abcd"), twice), DataSpec("x", validation=0.2, test=0.2), 0)
    assert not numbers(data.train) & numbers(data.test)
    assert not numbers(data.train) & numbers(data.validation)
    assert not numbers(data.validation) & numbers(data.test)
    assert data.duplicates["train-test"]["removed"] == data.duplicates["train-test"]["found"] > 0


def test_a_test_split_of_ours_shares_nothing_with_the_dataset_s_validation():
    own = source(test=0, validation=numbered(200))
    data = split(own, DataSpec("x", test=0.2), 0)
    assert not numbers(data.validation) & numbers(data.test)
    assert data.duplicates["validation-test"]["removed"] == data.duplicates["validation-test"]["found"] > 0


def labelled(*counts, pixels=numbered):
    labels = np.repeat(np.arange(len(counts)), counts)
    return Source(tuple("abcd"), Images(pixels(len(labels)).pixels, labels), test=numbered(8, start=1000))


def alike(n):
    return Images(np.zeros((n, 2, 2, 3), np.uint8), np.arange(n) % 4)


LEFT_OUT = [
    (
        labelled(300, 300, 300, 2),
        {"limit": 8, "validation": 0},
        "data.limit = 8 cannot be .*: it leaves a part without d .*; expected a limit of 451 or more",
    ),
    (
        labelled(4, 4, 4, 4, pixels=alike),
        {"validation": 0.4},
        "^0 of 16 images are left .*, none of them of a, b, c, d; ",
    ),
    (Source(tuple("abcd"), alike(40), validation=alike(8)), {}, "none of them of a, b, c, d"),
    (
        Source(tuple("abcd"), numbered(40, start=1).joined(alike(40)), validation=alike(8)),
        {},
        "data.validation: every image held out is an exact copy of a test image",
    ),
]


@pytest.mark.parametrize(("source", "shares", "told"), LEFT_OUT)
def test_what_nothing_is_left_of(source, shares, told):
    with pytest.raises(UserError, match=told):
        split(source, DataSpec("x", **shares), 0)


@pytest.mark.parametrize(
    ("spec", "key"),
    [(DataSpec("x", validation=0.001), "data.validation"), (DataSpec("x", limit=2), "data.limit")],
)
def test_a_share_that_leaves_a_class_out(spec, key):
    with pytest.raises(UserError, match=f"{key} = .* cannot be honoured for 400 images in 4 classes"):
        split(source(), spec, 0)
