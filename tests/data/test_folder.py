"""Image folders: every layout, size and mode; every mistake told."""

import numpy as np
import pytest
from PIL import Image

from kerastl.data import cache
from kerastl.data.decode import decode
from kerastl.data.load import load
from kerastl.errors import MissingData, UserError
from kerastl.schema import DataSpec


def spec_of(path, **more):
    return DataSpec(f"folder:{path}", **more)


def test_class_folders_alone_are_split(photos):
    data = load(spec_of(photos({"cat": 20, "dog": 20}), validation=0.25, test=0.2), 24)
    assert data.class_names == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (24, 8, 8)
    assert data.shape == (24, 24, 3) and data.train.pixels.dtype == np.uint8


def test_own_splits_are_kept(photos):
    data = load(
        spec_of(photos({"train/cat": 6, "train/dog": 6, "val/cat": 2, "val/dog": 2, "test/cat": 3, "test/dog": 3})), 24
    )
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 6)


def test_streamed_when_too_large_for_memory(photos, monkeypatch):
    path = photos({"cat": 10, "dog": 10})
    in_memory = load(spec_of(path), 24)
    monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    streamed = load(spec_of(path), 24)
    assert isinstance(in_memory.train.pixels, np.ndarray) and not isinstance(streamed.train.pixels, np.ndarray)
    np.testing.assert_array_equal(streamed.test.pixels[:], in_memory.test.pixels)
    np.testing.assert_array_equal(streamed.test.labels, in_memory.test.labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "x.png"
    base = Image.fromarray(np.full((10, 20, 3), 120, np.uint8))
    (Image.fromarray(np.full((10, 20), 120, np.uint16)) if mode == "I;16" else base.convert(mode)).save(path)
    assert decode(path, 8).shape == (8, 8, 3)


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (30, 20), (0, 0, 0, 0)).save(tmp_path / "x.jpg")
    assert decode(tmp_path / "x.jpg", 8).min() > 250


def test_exif_rotation_is_honoured(tmp_path):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8] = 255  # bright above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right: bright comes to the right
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    turned = decode(tmp_path / "x.png", 16)
    assert turned[:, 9:].min() > 200 and turned[:, :7].max() < 50


def test_the_middle_square_is_kept(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", 10).min() == 255


MISTAKES = [
    ({}, "found the class folders none"),
    ({"cat": 3}, "found the class folders cat; expected two or more"),
    ({"cat": 3, "dog": 0}, "dog: found no image"),
    ({"train/cat": 3, "train/dog": 3, "test/bird": 2}, "test: found the classes bird, which"),
]


@pytest.mark.parametrize(("counts", "told"), MISTAKES)
def test_mistakes(photos, counts, told):
    with pytest.raises(UserError, match=told):
        load(spec_of(photos(counts)), 16)


def test_no_such_folder(tmp_path):
    with pytest.raises(MissingData, match="nowhere: no such folder; expected one sub-folder"):
        load(spec_of(tmp_path / "nowhere"), 16)


def test_a_broken_image_is_named(photos):
    path = photos({"cat": 5, "dog": 5})
    (path / "cat" / "0.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UserError, match=r"1 of 10 images cannot be read:\n  cat/0\.png: not an image"):
        load(spec_of(path), 16)


def test_thousands_of_problems_are_told_in_ten_lines(tmp_path):
    for number in range(300):
        (tmp_path / "data" / str(number)).mkdir(parents=True)
    with pytest.raises(UserError) as told:
        load(spec_of(tmp_path / "data"), 8)
    assert len(str(told.value).splitlines()) == 11 and str(told.value).endswith("and 290 more")
