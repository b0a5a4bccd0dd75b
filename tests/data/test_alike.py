"""The same picture is found again, and without comparing all with all."""

import numpy as np
import pytest
from bad_input import scene
from PIL import Image

import kerastl.data.alike as alike
from kerastl.data.alike import NEAR, near_pairs, nearest, perceptual_hash, perceptual_hashes
from kerastl.errors import KerastlWarning


def hashes_and_relatives():
    """Random hashes, and versions of them in which up to five bits are others."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 300, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << random.integers(0, 64, (300, 5), dtype=np.uint64), axis=1)
    return hashes, hashes ^ flips


def test_near_pairs_are_those_that_comparing_all_with_all_finds():
    hashes, relatives = hashes_and_relatives()
    hashes = np.concatenate([hashes, relatives, hashes[:20]])
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    expected = np.argwhere(np.triu(distances <= NEAR, 1)).tolist()
    assert expected and [list(pair) for pair in near_pairs(hashes)] == expected
    assert near_pairs(hashes[:0]) == []


def test_the_nearest_is_the_one_that_comparing_all_with_all_finds():
    hashes, relatives = hashes_and_relatives()
    others = np.concatenate([relatives[::-1], hashes[:20], relatives])
    distances = np.bitwise_count(hashes[:, None] ^ others)
    expected = np.where(distances.min(axis=1) <= NEAR, distances.argmin(axis=1), -1)
    assert 20 <= (expected >= 0).sum() < 300
    np.testing.assert_array_equal(nearest(hashes, others), expected)
    assert nearest(hashes, others[:0]).tolist() == [-1] * 300 and nearest(hashes[:0], others).tolist() == []


def test_many_at_a_time_or_one_after_the_other():
    pictures = [*map(scene, range(5)), Image.new("RGB", (9, 9), "red")]
    hashes, flat = perceptual_hashes(pictures)
    assert flat.tolist() == [False] * 5 + [True]
    assert hashes[:5].tolist() == [perceptual_hash(picture) for picture in pictures[:5]]


def test_the_hash_stays_when_a_picture_is_saved_again():
    hashes = [perceptual_hash(scene(seed)) for seed in range(50)]
    again = [perceptual_hash(scene(seed).resize((61, 47))) for seed in range(50)]
    assert np.mean(np.bitwise_count(np.array(hashes) ^ np.array(again)) <= NEAR) > 0.9
    assert np.bitwise_count(np.array(hashes)[:, None] ^ np.array(hashes))[~np.eye(50, dtype=bool)].min() > NEAR


def crowded():
    """Hashes that have most of their bits in common, so that all fall into one group, and some are near to each other."""
    random = np.random.default_rng(3)
    return random.integers(0, 2**12, 1200, dtype=np.uint64) | np.uint64(0xABCD << 48)


def test_a_crowd_is_divided_and_nothing_is_missed():
    hashes = crowded()
    distances = np.bitwise_count(hashes[:, None] ^ hashes)
    assert len(near_pairs(hashes)) == np.triu(distances <= NEAR, 1).sum() > 10_000
    others = distances[:600, 600:]
    np.testing.assert_array_equal(nearest(hashes[:600], hashes[600:]), others.argmin(axis=1))


@pytest.mark.parametrize("limit", ["MOST_COMPARED", "MOST_PAIRS"])
def test_where_comparing_ends_it_is_said(limit, monkeypatch):
    monkeypatch.setattr(alike, limit, 1000)
    with pytest.warns(KerastlWarning, match="some copies are not told"):
        assert len(near_pairs(crowded())) <= 1000


def test_large_matrices_are_compared_in_parts(monkeypatch):
    hashes = crowded()
    whole = nearest(hashes[:600], hashes[600:])
    monkeypatch.setattr(alike, "AT_ONCE", 5000)
    np.testing.assert_array_equal(nearest(hashes[:600], hashes[600:]), whole)
