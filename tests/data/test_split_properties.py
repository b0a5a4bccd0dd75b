"""Splits of sources that nobody has: whatever the labels, shares, limits and duplicates."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from made_up import NARROWER, tables

from kerastl import schema
from kerastl.data.images import EncodedImages, Images, Source
from kerastl.data.split import split
from kerastl.errors import UserError


@dataclass(frozen=True)
class File:
    """A file that knows its place in the source; files of the same content are exact duplicates."""

    place: int
    content: int

    def read_bytes(self):
        return self.content.to_bytes(4)


@st.composite
def sources(draw, copies=True):
    """Sources with or without splits of their own; `copies`: with exact duplicates, within and across splits."""
    counts = draw(st.lists(st.integers(1, 30), min_size=2, max_size=4))
    sizes = {"train": counts, "validation": draw(st.none() | st.just([3] * len(counts)))}
    sizes["test"] = draw(st.none() | st.just([5] * len(counts)))
    different = draw(st.sampled_from([2, 30, 2**31])) if copies else None
    random, start, made = np.random.default_rng(draw(st.integers(0, 99))), 0, {}
    for name, each in sizes.items():
        if each:
            labels = random.permutation(np.repeat(np.arange(len(counts)), each))
            places = range(start, start := start + len(labels))
            files = [File(place, int(random.integers(different)) if different else place) for place in places]
            made[name] = Images(EncodedImages(files, 8), labels)
    return Source(tuple("abcd"[: len(counts)]), **made)


SPECS = tables(
    schema.DataSpec,
    {
        **NARROWER,
        (schema.DataSpec, "limit"): st.integers(1, 120),
        (schema.DataSpec, "validation"): st.floats(0, 0.9),
        (schema.DataSpec, "test"): st.floats(0.01, 0.9),
    },
).map(lambda table: schema.DataSpec(**table))
SEEDS = st.integers(0, 2**32 - 1)
NAMES = ("train", "validation", "test")


def splits_of(source, spec, seed):
    """The splits that there are, by name, and what was reported; neither where the recipe's wish cannot be granted."""
    try:
        data = split(source, spec, seed)
    except UserError as error:
        assert "data." in str(error), "it names the key to mend"
        return {}, {}
    return {name: images for name in NAMES if (images := getattr(data, name)) is not None}, data.duplicates


def places(images):
    return [file.place for file in images.pixels.items]


def contents(images):
    return {file.content for file in images.pixels.items}


def offered(source):
    return [images for images in (source.train, source.validation, source.test) if images is not None]


@given(sources(), SPECS, SEEDS)
def test_every_image_is_in_one_split_and_in_its_first_order(source, spec, seed):
    splits, duplicates = splits_of(source, spec, seed)
    found = [place for images in splits.values() for place in places(images)]
    assert len(found) == len(set(found))
    for images in splits.values():
        assert places(images) == sorted(places(images))
        assert len(images), "no split is left empty"
    if splits and spec.limit is None:
        assert len(found) == sum(map(len, offered(source))) - sum(it["removed"] for it in duplicates.values())


@given(sources(), SPECS, SEEDS)
def test_labels_stay_with_their_images(source, spec, seed):
    label_of = {
        place: label for images in offered(source) for place, label in zip(places(images), images.labels, strict=True)
    }
    for images in splits_of(source, spec, seed)[0].values():
        assert [label_of[place] for place in places(images)] == images.labels.tolist()


@given(sources(), SPECS, SEEDS)
def test_no_exact_duplicate_across_a_split_of_ours(source, spec, seed):
    splits, duplicates = splits_of(source, spec, seed)
    for one, other in combinations(splits, 2):
        both = contents(splits[one]) & contents(splits[other])
        own = {"validation": source.validation is None, "test": source.test is None, "train": False}
        if own[one] or own[other]:
            assert not both
        else:
            assert not both or duplicates[f"{one}-{other}"]["found"], "they are told of"


@given(sources(), SPECS, SEEDS)
def test_every_class_trains_or_an_error_says_so(source, spec, seed):
    splits, _ = splits_of(source, spec, seed)
    if splits:
        assert set(splits["train"].labels) == set(source.train.labels)


@given(sources(copies=False), SPECS, SEEDS)
def test_a_share_is_stratified_within_one_image_of_each_class(source, spec, seed):
    """Where only one split is drawn; two draws may add up to two images."""
    splits, _ = splits_of(source, spec, seed)
    drawn = [name for name in ("validation", "test") if getattr(source, name) is None and name in splits]
    if spec.limit is None and len(drawn) == 1:
        (name,) = drawn
        counts, held = (
            np.bincount(source.train.labels),
            np.bincount(splits[name].labels, minlength=len(source.class_names)),
        )
        assert len(splits[name]) == np.ceil(getattr(spec, name) * len(source.train))
        assert (abs(held - counts * len(splits[name]) / len(source.train)) < 1).all()


@given(sources(), SPECS, SEEDS)
def test_the_same_seed_gives_the_same_splits(source, spec, seed):
    one, again = (splits_of(source, spec, seed)[0] for _ in range(2))
    assert {name: places(images) for name, images in one.items()} == {
        name: places(images) for name, images in again.items()
    }
