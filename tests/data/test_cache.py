"""data.cache: the same images wherever they are kept, and nothing that is damaged."""

import os
import time

import numpy as np
import pytest

from kerastl.data import cache
from kerastl.data.batches import evaluation_batches, training_batches
from kerastl.data.cache import ABOUT, ARRAYS, CACHES, PIXELS, KeptImages, root
from kerastl.data.home import make_room_in
from kerastl.data.images import EncodedImages
from kerastl.data.load import load
from kerastl.errors import KerastlWarning, UserError
from kerastl.schema import AugmentSpec, DataSpec

SIDE = 16


@pytest.fixture
def folder(photos):
    return photos({"train/cat": 9, "train/dog": 9, "val/cat": 3, "val/dog": 3, "test/cat": 4, "test/dog": 4})


def read(folder, cache, **keys):
    return load(DataSpec(f"folder:{folder}", cache=cache, **keys), SIDE)


@pytest.fixture
def decoded(monkeypatch):
    """The images that are decoded, as they are."""
    seen = []
    decode = cache.decode

    def decode_and_tell(item, size):
        seen.append(item)
        return decode(item, size)

    monkeypatch.setattr(cache, "decode", decode_and_tell)
    monkeypatch.setattr("kerastl.data.images.decode", decode_and_tell)
    return seen


def test_every_place_is_the_same_image_wherever_it_is_kept(folder):
    """Splits, joined splits, their labels and digests as well."""
    ram, *others = (read(folder, kept, validation=0.0) for kept in CACHES)
    assert isinstance(ram.train.pixels, np.ndarray) and isinstance(others[0].train.pixels, KeptImages)
    for other in others:
        for name in ("train", "test"):
            one, same = getattr(ram, name), getattr(other, name)
            np.testing.assert_array_equal(one.pixels[:], same.pixels[:])
            np.testing.assert_array_equal(one.labels, same.labels)
            np.testing.assert_array_equal(one.digests, same.digests)
        some = other.train.subset([7, 0, 20])
        np.testing.assert_array_equal(some.pixels[np.array([2, 0])], ram.train.pixels[[20, 7]])


def test_the_batches_are_the_same_to_the_bit(folder):
    spec = AugmentSpec(flip="horizontal", rotation=20.0, mixup=0.4)
    made = []
    for kept in CACHES:
        data = read(folder, kept)
        batches = [
            *training_batches(data.train, 2, 7, 2, seed=3, augment_spec=spec),
            *evaluation_batches(data.test, 2, 3),
        ]
        made.append([tensor.numpy() for batch in batches for tensor in batch])
    for other in made[1:]:
        for one, same in zip(made[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_nothing_is_decoded_but_what_a_batch_asks_for(folder, decoded):
    data = read(folder, "none")
    assert not decoded, "to see that it can be is enough"
    digests = data.train.subset(np.arange(5)).joined(data.test).digests
    assert len(digests) == 13 and not decoded
    data.train.pixels[np.array([3, 1])]
    assert [path.parent.name for path in decoded] == ["cat", "cat"]


def test_what_is_on_disk_is_decoded_once(folder, decoded):
    read(folder, "disk").train.pixels[:]
    read(folder, "disk", validation=0.0).test.pixels[:]
    assert len(decoded) == 32, "another split of another run finds it"
    (folder / "train/cat/0.png").write_bytes((folder / "train/cat/1.png").read_bytes())
    read(folder, "disk")
    assert len(decoded) == 64, "the folder is another one"


def files():
    (kept,) = root().iterdir()
    return kept


DAMAGES = {
    "pixels cut short": lambda kept: os.truncate(kept / PIXELS, 100),
    "pixels gone": lambda kept: (kept / PIXELS).unlink(),
    "arrays gone": lambda kept: (kept / ARRAYS).unlink(),
    "arrays cut short": lambda kept: os.truncate(kept / ARRAYS, 200),
    "arrays altered": lambda kept: alter(kept / ARRAYS, 150),
}


def alter(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_made_anew(folder, damage, decoded):
    expected = read(folder, "disk").train.pixels[:]
    DAMAGES[damage](files())
    with pytest.warns(KerastlWarning, match="damaged; its images are decoded again"):
        again = read(folder, "disk")
    assert len(decoded) == 64
    np.testing.assert_array_equal(again.train.pixels[:], expected)


def test_a_damaged_row_is_decoded_again_and_the_file_in_the_next_run(folder, decoded):
    data = read(folder, "disk")
    expected = data.train.pixels[:]
    alter(files() / PIXELS, 3 * (SIDE * SIDE * 3 + 4) + 100)  # in the fourth image of the file
    with pytest.warns(KerastlWarning, match="damaged"):
        np.testing.assert_array_equal(data.train.pixels[:], expected)
    assert len(decoded) == 33
    with pytest.warns(KerastlWarning, match="damaged"):
        read(folder, "disk")
    assert len(decoded) == 65


def test_the_least_recently_used_go_first_and_no_room_is_said(folder):
    read(folder, "disk")
    (first,) = root().iterdir()
    size = sum(path.stat().st_size for path in first.iterdir())
    os.utime(first / ABOUT, (time.time() - 1000,) * 2)
    load(DataSpec(f"folder:{folder}", cache="disk", cache_budget=1.5 * size), SIDE - 1)
    assert len(list(root().iterdir())) == 1 and not first.exists()
    with pytest.raises(UserError, match=r'data\.cache = "disk": .* would exceed data\.cache_budget = 1,000; make room'):
        read(folder, "disk", cache_budget=1000)


def test_a_writer_that_was_killed_leaves_nothing_that_is_read(folder, monkeypatch, decoded):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(cache, "write_json", die)
        read(folder, "disk")
    assert not list(root().iterdir())
    read(folder, "disk")
    assert len(decoded) == 64


def test_what_was_given_last_stays_and_the_quicker_of_two_makes_it(tmp_path):
    """As two processes meet in the cache: what one evicts another was just given, or makes too."""
    spec, made = DataSpec("digits", cache_budget=1500), []

    def make(folder):
        made.append(folder)
        (folder / PIXELS).write_bytes(bytes(1000))
        if len(made) == 1:  # meanwhile another process makes the same
            place = root() / folder.name
            place.mkdir()
            (place / PIXELS).write_bytes(b"1" * 1000)
            np.savez(place / ARRAYS, a=1)
            (place / ABOUT).touch()
        return {"a": np.zeros(3)}

    first, arrays = cache.remembered({"k": 1}, spec, {PIXELS: 1000}, make)
    assert (first / PIXELS).read_bytes() == b"1" * 1000 and arrays["a"] == 1
    assert "would exceed" in make_room_in(root(), 1000, 1500, "x"), "it is in use"
    second, _ = cache.remembered({"k": 2}, spec, {PIXELS: 1000}, make)
    assert [path.name for path in root().iterdir()] == [second.name], "and then it is not"


def test_auto_is_ram_up_to_a_bound(folder, monkeypatch):
    assert isinstance(read(folder, "auto").train.pixels, np.ndarray)
    monkeypatch.setattr(cache, "IN_MEMORY", 32 * SIDE * SIDE * 3 - 1)
    assert type(read(folder, "auto").train.pixels) is EncodedImages
