"""The feature cache: what it gives is what the trunk gives, computed once for an image."""

import keras
import numpy as np
import pytest

from kerastl.data.images import Images
from kerastl.errors import KerastlWarning
from kerastl.model.cut import split
from kerastl.model.graph import build_model
from kerastl.schema import AugmentSpec, CacheBudget, ModelSpec
from kerastl.train import features as module
from kerastl.train.features import Pass, Trunk, View, fingerprint
from kerastl.train.store import StoredRows, root

SPEC = ModelSpec("MobileNetV2", "none", 32, options={"alpha": 0.35})


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build_model(SPEC, (32, 32, 3), 5)


@pytest.fixture(scope="module")
def trunk(model):
    return split(model, "block_2_add")[0]


@pytest.fixture
def computed(monkeypatch):
    """How many images went through a trunk, pass by pass."""
    counts, whole = [], module._compute
    monkeypatch.setattr(module, "_compute", lambda *a: (counts.append(a[2]), whole(*a))[1])
    return counts


def images(n, seed=0):
    random = np.random.default_rng(seed)
    return Images(random.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 5)


HOW = Pass(batch_size=8)


def cached_features(trunk, some, how, views=(None,)):
    return module.cached_features(Trunk(trunk, how), some, views)


def test_they_are_what_the_trunk_gives(trunk, computed):
    some = images(21)
    found = cached_features(trunk, some, HOW)
    expected = trunk.predict(some.pixels.astype("float32"), verbose=0)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(cached_features(trunk, some, HOW), found)
    assert computed == [21], "the second time nothing was computed"


def test_any_other_set_finds_what_is_there(trunk, computed):
    """Another split, order or limit: only images never seen go through the trunk, each once."""
    every = images(30)
    one = cached_features(trunk, every.subset(np.arange(20)), HOW)
    mixed = cached_features(trunk, every.subset([25, 3, 3, 19, 25, 29]), HOW)
    assert computed == [20, 2]
    np.testing.assert_array_equal(mixed[1], one[3])
    np.testing.assert_array_equal(mixed[0], mixed[4])
    np.testing.assert_allclose(
        mixed, trunk.predict(every.pixels[[25, 3, 3, 19, 25, 29]].astype("float32"), verbose=0), rtol=1e-3, atol=1e-5
    )


def test_what_decides_whether_features_are_the_same(model, trunk):
    same = build_model(SPEC, (32, 32, 3), 7)
    for layer in trunk.layers:
        same.get_layer(layer.name).set_weights(layer.get_weights())
    other = split(same, "block_2_add")[0]
    assert fingerprint(other) == fingerprint(trunk), "another head is no reason"
    other.get_layer("Conv1").trainable = False
    other.get_layer("bn_Conv1").momentum = 0.5
    assert fingerprint(other) == fingerprint(trunk), "nor what only training sees"
    kernel = other.get_layer("Conv1").get_weights()[0]
    kernel[0, 0, 0, 0] += 1e-6
    other.get_layer("Conv1").set_weights([kernel])
    assert fingerprint(other) != fingerprint(trunk), "a weight is"
    bigger = build_model(ModelSpec("MobileNetV2", "none", 64, options={"alpha": 0.35}), (32, 32, 3), 5)
    assert fingerprint(split(bigger, "block_2_add")[0]) != fingerprint(trunk), "so is the size"


def test_precision_and_dtype_have_stores_of_their_own(trunk, computed):
    some = images(16)
    plain = cached_features(trunk, some, HOW)
    for dtype, error in (("float16", 2e-3), ("bfloat16", 1e-2)):
        narrow = cached_features(trunk, some, Pass(batch_size=8, dtype=dtype))
        assert str(narrow.dtype) == dtype
        assert 0 < np.abs(narrow.astype("float32") - plain).max() < error * np.abs(plain).max()
    rough = cached_features(trunk, some, Pass(batch_size=8, precision="mixed_bfloat16"))
    assert 0 < np.abs(rough - plain).max() < 0.1 * np.abs(plain).max()
    assert computed == [16] * 4


def test_too_many_for_memory_are_read_from_disk(trunk):
    some = images(16)
    rows = cached_features(trunk, some, Pass(batch_size=8, budget=CacheBudget(ram=1000)))
    assert isinstance(rows, StoredRows)
    np.testing.assert_array_equal(rows[:], cached_features(trunk, some, HOW))


def test_views_are_drawn_once_and_differ(trunk, computed):
    some, augment = images(16), AugmentSpec(flip="horizontal", translation=0.2)
    views = [View(augment, 0, number) for number in range(3)]
    found = cached_features(trunk, some, HOW, views)
    assert found.shape[0] == 48
    plain = cached_features(trunk, some, HOW)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert not np.allclose(found[16 * one : 16 * one + 16], found[16 * other : 16 * other + 16])
    assert not np.allclose(found[:16], plain)
    np.testing.assert_array_equal(cached_features(trunk, some, HOW, views[:2]), found[:32])
    assert computed == [16] * 4
    cached_features(trunk, some, HOW, [View(augment, 1, 0)])
    assert computed == [16] * 5, "another seed is another view"


def test_a_lost_shard_of_a_view_comes_back_as_it_was(trunk, monkeypatch):
    """The draws are a function of the place in the set, so that a damaged cache changes no run."""
    monkeypatch.setattr(module, "SHARD_BYTES", 1)  # a shard for each batch
    some, view = images(20), View(AugmentSpec(rotation=30), 0, 0)
    before = cached_features(trunk, some, HOW, [view])
    shards = sorted(root().rglob("*.npy"))
    assert len(shards) == 3
    for shard in shards[:2]:
        shard.unlink()
    np.testing.assert_array_equal(cached_features(trunk, some, HOW, [view]), before)


@pytest.mark.parametrize("view", [None, View(AugmentSpec(flip="horizontal"), 0, 0)])
def test_by_way_of_an_earlier_place(model, view, computed):
    """The deeper features are computed from the earlier ones, and those are then there for a later phase."""
    some = images(16)
    deep, early = split(model, "features")[0], split(model, "block_2_add")[0]
    by_way = cached_features(deep, some, Pass(batch_size=8, via="block_2_add"), [view])
    assert computed == [16, 16]
    cached_features(early, some, HOW, [view])
    assert computed == [16, 16]
    for path in root().rglob("*.npy"):
        path.unlink()
    np.testing.assert_allclose(by_way, cached_features(deep, some, HOW, [view]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("fault", ["budget", "disk"])
def test_no_room_is_said_and_leaves_nothing_half_done(trunk, fault, monkeypatch):
    how = HOW
    if fault == "budget":
        how = Pass(batch_size=8, budget=CacheBudget(disk=10_000))
    else:
        monkeypatch.setattr(
            np.lib.format, "write_array", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
    with pytest.warns(KerastlWarning, match=r"features are not cached: .*(cache_budget.disk|No space left)"):
        assert cached_features(trunk, images(16), how) is None
    assert not list(root().rglob("*.npy"))
