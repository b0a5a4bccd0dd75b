"""Bad input: one clear error each, before anything is made; odd input: the pixels it is meant to have."""

import json
import warnings

import numpy as np
import pytest
from bad_input import BAD, ODD, noise, photos
from PIL import Image

from kerastl.data.batches import evaluation_batches, training_batches
from kerastl.data.cache import CACHES
from kerastl.data.decode import decode
from kerastl.data.folder import list_folder
from kerastl.data.images import Images, Source
from kerastl.data.load import load
from kerastl.data.split import split
from kerastl.errors import BrokenImage, KerastlWarning, UserError
from kerastl.run import train
from kerastl.schema import DataSpec

pytestmark = pytest.mark.usefixtures("step_by_step")


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_error(name, tmp_path):
    build, told = BAD[name]
    spec = build(tmp_path)
    with pytest.raises(UserError, match=told):
        load(spec, 16)


@pytest.mark.parametrize("name", ODD)
def test_odd_input_has_the_pixels_it_is_meant_to_have(name, tmp_path):
    write, left, right = ODD[name]
    pixels = decode(write(tmp_path), 16).astype(int)
    np.testing.assert_allclose(pixels[:, :6], np.broadcast_to(left, (16, 6, 3)), atol=4)
    np.testing.assert_allclose(pixels[:, 10:], np.broadcast_to(right, (16, 6, 3)), atol=4)


@pytest.mark.parametrize("cache", CACHES)
def test_all_broken_images_are_told_before_training(tmp_path, cache):
    spec = photos(tmp_path / "photos", {"cat": 20, "dog": 20})
    for number in range(13):
        (tmp_path / "photos" / "dog" / f"{number}.png").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        load(DataSpec(spec.name, cache=cache), 16)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("13 of 40 images cannot be read:") and lines[1] == "  dog/0.png: the file is empty"
    assert lines[11] == "  and 3 more" and "data.on_error" in lines[12] and len(lines) == 13


@pytest.mark.parametrize("cache", CACHES)
def test_skip_leaves_broken_images_out_and_says_so_once(tmp_path, cache):
    whole = photos(tmp_path / "photos", {"train/cat": 6, "train/dog": 6, "test/cat": 3, "test/dog": 3})
    expected = load(DataSpec(whole.name, validation=0.0), 16).train.pixels[:]
    (tmp_path / "photos" / "train" / "cat" / "9.heic").write_bytes(b"heic")
    (tmp_path / "photos" / "test" / "dog" / "2.png").write_bytes(b"png")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        data = load(DataSpec(whole.name, validation=0.0, on_error="skip", cache=cache), 16)
    (warning,) = [it for it in told if it.category is KerastlWarning]
    assert "2 of 19 images cannot be read and are left out, as train/cat/9.heic" in str(warning.message)
    assert data.skipped == ("train/cat/9.heic", "test/dog/2.png")
    assert (len(data.train), len(data.test)) == (12, 5)
    np.testing.assert_array_equal(data.train.pixels[:], expected)


def test_nothing_is_made_of_bad_input_and_what_is_skipped_is_in_the_metrics(tmp_path, tiny):
    """And a batch may be larger than all there is."""
    name = photos(tmp_path / "photos", {"cat": 20, "dog": 20}).name
    (tmp_path / "photos" / "cat" / "x.png").write_bytes(b"")
    keys = {"data.name": name, "data.limit": None, "train.batch_size": 512, "export.formats": []}
    with pytest.raises(UserError, match="cannot be read"):
        train(tiny(strategy="head-only", **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.warns(KerastlWarning, match="left out"):
        run = train(tiny(strategy="head-only", **keys, **{"data.on_error": "skip"}), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["data"]["skipped"] == ["cat/x.png"]
    assert run.metrics["data"]["train"] == 24


def test_fewer_images_than_a_batch():
    images = Images(np.zeros((3, 4, 4, 3), np.uint8), np.array([0, 1, 1]))
    assert [len(x) for x, _ in training_batches(images, 2, 64, 2, seed=0)] == [3, 3]
    assert [len(x) for x, _ in evaluation_batches(images, 2, 64)] == [3]


def test_links_within_the_folder_are_followed_once_and_loops_end(tmp_path):
    spec = photos(tmp_path, {"cat": 12, "dog": 12, ".pool/more": 3})
    (tmp_path / "cat" / "again").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "up").symlink_to(tmp_path)
    (tmp_path / "cat" / "more").symlink_to(tmp_path / ".pool" / "more")
    (tmp_path / "cat" / "more again").symlink_to(tmp_path / ".pool" / "more")
    (tmp_path / "dog" / "99.png").symlink_to(tmp_path / "dog" / "round.png")
    (tmp_path / "dog" / "round.png").symlink_to(tmp_path / "dog" / "99.png")
    listing = list_folder(tmp_path)
    assert not listing.problems and np.bincount(listing.labels["train"]).tolist() == [15, 14]
    with pytest.raises(UserError, match=r"2 of 29 images cannot be read:\n  dog/99\.png: no such file"):
        load(spec, 16)


def test_a_folder_that_is_itself_a_link_is_fine(tmp_path):
    photos(tmp_path / "real", {"cat": 12, "dog": 12})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(load(DataSpec(f"folder:{tmp_path / 'link'}"), 16).class_names) == 2


def test_litter_is_ignored_and_other_files_with_a_warning(tmp_path):
    spec = photos(tmp_path, {"cat": 12, "dog": 12, "cat/.ipynb_checkpoints": 2})
    for name in ("Thumbs.db", ".DS_Store", "desktop.ini"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    with warnings.catch_warnings():
        warnings.simplefilter("error", KerastlWarning)
        load(spec, 16)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "README").write_text("x")
    with pytest.warns(KerastlWarning, match=r"2 files in class folders have no suffix .* as cat/notes\.txt"):
        load(spec, 16)


@pytest.mark.parametrize("few", range(2, 12))
def test_the_share_that_an_error_names_would_do(few):
    n = 137
    images = Images(np.arange(n * 3, dtype=np.uint8).reshape(n, 1, 1, 3), np.array([0] * (n - few) + [1] * few))
    source = Source(("many", "few"), images, test=Images(np.zeros((2, 1, 1, 3), np.uint8), np.arange(2)))
    with pytest.raises(UserError, match=r"expected a share from \S+ to \S+$") as caught:
        split(source, DataSpec("x", validation=0.01), 0)
    for share in map(float, str(caught.value).split("from ")[1].split(" to ")):
        for seed in range(5):
            assert np.bincount(split(source, DataSpec("x", validation=share), seed).validation.labels).min() > 0


def test_a_limit_of_almost_everything_can_be_honoured():
    """scikit-learn refuses to leave out fewer images than there are classes."""
    images = Images(np.random.default_rng(0).integers(0, 256, (40, 2, 2, 3), np.uint8), np.arange(40) % 4)
    source = Source(tuple("abcd"), images, test=Images(255 - images.pixels, images.labels))
    assert len(split(source, DataSpec("x", validation=0.0, limit=38), 0).train) == 38


def test_pillow_s_limit_is_the_user_s(tmp_path, monkeypatch):
    noise().save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(tmp_path / "x.png", 8).shape == (8, 8, 3)
    for limit in (64 * 64 - 1, 1000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(BrokenImage, match="more pixels than"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decode(tmp_path / "x.png", 8)
