"""The store: rows are found again, damaged ones are not, and the budget holds."""

import os
import time

import ml_dtypes
import numpy as np
import pytest

from kerastl.errors import KerastlWarning
from kerastl.files import UNFINISHED
from kerastl.schema import CacheBudget
from kerastl.train import store as rooms
from kerastl.train.store import Store, make_room, root


def digests(numbers):
    return np.array([f"{number:016d}".encode() for number in numbers], dtype="V16")


def values(numbers, dtype="float32"):
    return np.array([[number, number / 4] for number in numbers], dtype=dtype)


@pytest.fixture
def forget():
    """As another process would see the files: no checksum is known."""
    rooms._verified.clear()
    return rooms._verified.clear


def filled(about, *shards):
    store = Store({"what": about}, (2,), "float32")
    store.begin()
    for numbers in shards:
        store.write(digests(numbers), values(numbers))
    store.close()
    return store


def test_rows_come_back_in_the_order_asked_for(forget):
    filled("a", range(5), range(5, 9))
    again = Store({"what": "a"}, (2,), "float32")
    asked = [8, 0, 0, 4, 5]
    rows = again.read(digests(asked))
    assert rows.shape == (5, 2) and rows.nbytes == 40
    np.testing.assert_array_equal(rows[:], values(asked))
    np.testing.assert_array_equal(rows[np.array([4, 0])], values([5, 8]))
    np.testing.assert_array_equal(rows.joined(again.read(digests([1])))[:], values([*asked, 1]))


def test_only_what_is_missing_is_named_and_each_once():
    store = filled("a", range(5))
    assert store.missing(digests([3, 9, 1, 7, 9])).tolist() == [1, 3]
    assert Store({"what": "b"}, (2,), "float32").missing(digests([3])).tolist() == [0], "another store"


@pytest.mark.parametrize(("dtype", "numpy"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_narrow_numbers(dtype, numpy):
    store = Store({"dtype": dtype}, (2,), dtype)
    store.begin()
    store.write(digests([1, 2]), values([1, 2], numpy))
    rows = store.read(digests([2, 1]))[:]
    assert rows.dtype == numpy
    np.testing.assert_array_equal(rows, values([2, 1], numpy))


def cut_short(path):
    os.truncate(path, path.stat().st_size - 3)


def alter(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, alter, lambda path: path.write_bytes(b"")])
def test_a_damaged_shard_is_never_read(damage, forget):
    filled("a", range(5), range(5, 9))
    damage(sorted(root().rglob("*.npy"))[0])
    forget()
    with pytest.warns(KerastlWarning, match="damaged; its features are computed again"):
        store = Store({"what": "a"}, (2,), "float32")
    assert store.missing(digests(range(9))).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(store.read(digests([6]))[:], values([6]))
    assert len(list(root().rglob("*.npy"))) == 1


def test_a_file_left_by_a_killed_writer_is_not_a_shard(forget):
    store = filled("a", range(5))
    (store.folder / f"{UNFINISHED}4711").mkdir()
    (store.folder / f"{UNFINISHED}4711" / "shard").write_bytes(b"half")
    assert Store({"what": "a"}, (2,), "float32").missing(digests(range(5))).tolist() == []


def test_the_least_recently_used_go_first(forget):
    stores = {name: filled(name, range(100)) for name in "abc"}
    now = time.time()
    for age, name in enumerate("bca"):
        os.utime(stores[name].folder / "store.json", (now - 1000 + age, now - 1000 + age))
    size = sum(path.stat().st_size for path in stores["a"].folder.iterdir())
    assert make_room(size, CacheBudget(disk=2.5 * size), keep={stores["c"].folder}) == ""
    assert [name for name in "abc" if stores[name].folder.exists()] == ["c"]
    assert "train.cache_budget.disk" in make_room(3 * size, CacheBudget(disk=2.5 * size), keep={stores["c"].folder})


def test_a_store_that_is_used_counts_as_used(forget):
    for name in "ab":
        folder = filled(name, range(100)).folder
        os.utime(folder / "store.json", (1000, 1000))
    Store({"what": "a"}, (2,), "float32")
    make_room(1, CacheBudget(disk=1.5 * 1000 * 100))  # far more than both take: nothing goes
    assert len(list(root().iterdir())) == 2
    make_room(1, CacheBudget(disk=4000))
    assert [store.joinpath("store.json").read_text().count('"a"') for store in root().iterdir()] == [1]


def test_what_a_living_process_uses_stays(forget):
    filled("a", range(100))
    used = Store({"what": "a"}, (2,), "float32")
    assert "would exceed" in make_room(1, CacheBudget(disk=100))
    assert used.folder.exists()
    used.close()
    assert make_room(1, CacheBudget(disk=100)) == "" and not used.folder.exists()


def test_a_full_disk_is_said():
    assert "bytes left" in make_room(10**18, CacheBudget(disk=1e19))
