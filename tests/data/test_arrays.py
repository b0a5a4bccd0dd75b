"""Arrays of images as a folder: nothing is lost, the order of the classes is theirs, and what is wrong is said."""

import numpy as np
import pytest

from kerastl.data.arrays import folder_of_arrays
from kerastl.data.load import load
from kerastl.errors import UserError
from kerastl.recipe import from_table


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setattr("kerastl.data.arrays.home", lambda: tmp_path)


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_every_pixel_and_label_comes_back():
    images, labels = random_images(44, 8, 8, 3), np.repeat(np.arange(11), 4)
    folder = folder_of_arrays((images, labels))
    table = {
        "name": "arrays",
        "description": "arrays",
        "data": {"name": f"folder:{folder}", "validation": 0.0, "test": 0.25},
        "model": {"backbone": "SmallCNN", "weights": "none", "image_size": 8},
        "phases": [{"name": "head", "trainable": "head", "solve": "logistic"}],
    }
    data = load(from_table(table, "arrays").data, 8)
    assert data.class_names == tuple(f"{it:02d}" for it in range(11))
    seen = [
        (int(label), it.tobytes())
        for part in (data.train, data.test)
        for it, label in zip(part.pixels[:], part.labels, strict=True)
    ]
    assert sorted(seen) == sorted((int(label), it.tobytes()) for it, label in zip(images, labels, strict=True))


def test_the_same_arrays_are_written_once():
    source = random_images(4, 8, 8), ["cat", "dog", "cat", "dog"]
    folder = folder_of_arrays(source)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert folder_of_arrays(source) == folder and len(times) == 6
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == times
    assert folder_of_arrays((source[0], ["dog", "cat", "cat", "dog"])) != folder


GOOD = random_images(2, 8, 8, 3)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ((GOOD,), "a tuple of 1"),
        ((GOOD / 255, [0, 1]), "astype"),
        ((GOOD[..., :2], [0, 1]), "expected \\(n, height, width, 3\\)"),
        ((GOOD[:0], []), "shape"),
        ((GOOD, [0, 1, 2]), "for 2 images"),
        ((GOOD, [[0, 1], [1, 0]]), "for 2 images"),
        ((GOOD, [-1, 1]), "'-1'"),
        ((GOOD, ["../cat", "dog"]), "'../cat'"),
        ((GOOD, ["", "dog"]), "''"),
    ],
)
def test_what_is_wrong_is_said(source, told):
    with pytest.raises(UserError, match=told):
        folder_of_arrays(source)
