"""The door of the data room, and the two sources that need no files."""

import numpy as np
import pytest

from kerastl.data.glyphs import CLASSES, PER_CLASS, load_glyphs
from kerastl.data.load import load, source_of
from kerastl.errors import RecipeError
from kerastl.schema import DataSpec


@pytest.mark.parametrize("name", ["cifar", "tfds", "folder", "cifar10:x", "mnist"])
def test_unknown_sources(name):
    with pytest.raises(
        RecipeError, match=f"data.name: found '{name}'; .*valid: cifar10, cifar100, digits, glyphs, tfds:"
    ):
        source_of(DataSpec(name))


def test_digits():
    data = load(DataSpec("digits", limit=200, test=0.5), 48)
    assert (len(data.train), len(data.validation), len(data.test)) == (180, 20, 899)
    assert np.bincount(data.train.labels).tolist() == [18] * 10
    assert data.shape == (8, 8, 3) and data.train.pixels.max() == 255


def test_glyphs_are_letters_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr("kerastl.data.glyphs.PER_CLASS", 3)
    one, same, other = load_glyphs(1), load_glyphs(1), load_glyphs(2)
    np.testing.assert_array_equal(one.train.pixels, same.train.pixels)
    assert (one.train.pixels != other.train.pixels).any()
    assert one.train.pixels.shape == (52 * 3, 8, 8, 3)
    assert (one.train.pixels.max(axis=(1, 2, 3)) > 60).all(), "no empty drawing"
    assert len(CLASSES) == 52 and not any(name[-1].isdigit() for name in CLASSES) and PER_CLASS >= 100
