"""A finished run, judged again on data that is no longer what it was."""

import json
import shutil
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from kerastl.deploy.of_run import export_run
from kerastl.errors import KerastlWarning, UserError
from kerastl.evaluate_run import evaluate
from kerastl.run import train

pytestmark = pytest.mark.usefixtures("step_by_step")

CLASSES = "ant", "bee", "cat"


def draw(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 60, (20, 20, 3))
    Image.fromarray((noise + shade).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A folder with photos/ and run/, whose recipe names the photos by their absolute path."""
    home = tmp_path_factory.mktemp("judged")
    for place, name in enumerate(CLASSES):
        for split, count in (("train", 12), ("test", 6)):
            for number in range(count):
                draw(home / "photos" / split / name / f"{number}.png", 70 * place)
    changes = {"data.name": f"folder:{home / 'photos'}", "data.limit": None, "data.validation": 0.25}
    changes |= {"export.formats": [], "evaluate.report": False}
    train(tiny(strategy="head-only", baseline=None, **changes), home / "run")
    return home


@pytest.fixture
def photos(made):
    """The photos, for a test to change; afterwards they are as before."""
    kept = made / "kept"
    shutil.copytree(made / "photos", kept)
    yield made / "photos"
    shutil.rmtree(made / "photos")
    kept.rename(made / "photos")


def rename(folder, before, after):
    for split in folder.iterdir():
        (split / before).rename(split / after)


def add(folder, name):
    for split, numbers in (("train", range(4)), ("test", range(2))):
        for number in numbers:
            draw(folder / split / name / f"{number}.png", 190)


def remove(folder, name):
    for split in folder.iterdir():
        shutil.rmtree(split / name)


OTHER_CLASSES = {
    "renamed, and in another place": (
        lambda photos: rename(photos, "ant", "zebra"),
        "new: zebra; no longer there: ant",
    ),
    "renamed, and in the same place": (lambda photos: rename(photos, "bee", "bees"), "new: bees; no longer there: bee"),
    "swapped": (
        lambda photos: [rename(photos, *names) for names in (("ant", "x"), ("cat", "ant"), ("x", "cat"))],
        None,
    ),
    "added in front": (lambda photos: add(photos, "aardvark"), "new: aardvark"),
    "added at the end": (lambda photos: add(photos, "zebra"), "new: zebra"),
    "removed": (lambda photos: remove(photos, "ant"), "no longer there: ant"),
    "one of them in other letters": (lambda photos: rename(photos, "cat", "Cat"), "new: Cat; no longer there: cat"),
}


@pytest.mark.parametrize("case", OTHER_CLASSES)
def test_other_classes_are_named(made, photos, case):
    change, told = OTHER_CLASSES[case]
    change(photos)
    if told is None:  # the classes are the same, the images are not
        with pytest.warns(KerastlWarning, match="not those of the run: train, validation, test"):
            evaluate(made / "run")
        return
    for action in (evaluate, lambda run: evaluate(run, "train"), lambda run: export_run(run, ["h5"], made / "exports")):
        with pytest.raises(UserError, match=f"not those the run was trained on: {told}; expected the same"):
            action(made / "run")
    assert not (made / "exports").exists()


OTHER_IMAGES = {
    "a test photo more": (lambda photos: draw(photos / "test" / "ant" / "new.png", 99), "test"),
    "a test photo less": (lambda photos: (photos / "test" / "cat" / "0.png").unlink(), "test"),
    "a test photo in another class": (
        lambda photos: (photos / "test" / "cat" / "0.png").rename(photos / "test" / "ant" / "moved.png"),
        "test",
    ),
    "a photo to train on": (lambda photos: draw(photos / "train" / "ant" / "new.png", 99), "train"),
}


@pytest.mark.parametrize("case", OTHER_IMAGES)
def test_other_images_are_said(made, photos, case):
    change, told = OTHER_IMAGES[case]
    change(photos)
    with pytest.warns(KerastlWarning, match=f"these images are not those of the run: {told}[;,]"):
        assert evaluate(made / "run").n


def test_the_same_data_without_a_word(made):
    metrics = json.loads((made / "run" / "metrics.json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("error", KerastlWarning)
        assert evaluate(made / "run").accuracy == metrics["test"]["accuracy"]


def test_a_byte_order_mark_in_labels_is_no_error(made, tmp_path):
    run = shutil.copytree(made / "run", tmp_path / "run")
    path = run / "labels.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert evaluate(run).n == 18
    path.write_text(json.dumps({"classes": ["cat", "bee", "ant"]}))
    with pytest.raises(UserError, match="the same, in another order"):
        evaluate(run)
