"""What was planted is found: copies of test images among the training images, and wrong labels."""

import json

import numpy as np
import pytest
from bad_input import scene
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from kerastl.data.images import EncodedImages, Images, Source
from kerastl.data.load import SOURCES, load
from kerastl.data.split import Data
from kerastl.evaluate.statistics import accuracy_interval
from kerastl.evaluate.trust import PAIRS, SUSPECTS, find_copies, list_suspects, suspects, without_copies
from kerastl.evaluate.verdict import headline
from kerastl.evaluate_run import judge_again
from kerastl.recipe import override
from kerastl.schema import DataSpec
from kerastl.tables import print_copies

pytestmark = pytest.mark.usefixtures("step_by_step")

NAMES = ("cat", "dog")


def some(numbers, change=lambda image: image):
    """Scenes as an array of 48 x 48 pixels."""
    return np.stack([np.asarray(change(scene(number)).resize((48, 48))) for number in numbers])


def images(*parts):
    pixels = np.concatenate(parts)
    return Images(pixels, np.arange(len(pixels)) % 2)


@pytest.fixture(scope="module")
def leaky():
    """Of twelve test images two stand in train as they are, three a little darker; of the flat ones nothing is known."""
    flat = np.full((1, 48, 48, 3), 200, np.uint8)
    darker = some((2, 3, 4), lambda image: ImageEnhance.Brightness(image).enhance(0.9))
    train = images(some(range(20)), some((0,)), flat)
    test = images(some((0, 1)), darker, some(range(100, 106)), flat + 1)
    return Data(train, None, test, NAMES)


def test_copies_are_found_and_left_out(leaky):
    copies = find_copies(leaky.train, leaky.test)
    assert copies.train.tolist() == [0, 1, 2, 3, 4] + [-1] * 7
    assert np.flatnonzero(copies.exact).tolist() == [0, 1] and np.flatnonzero(copies.near).tolist() == [2, 3, 4]
    right = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0], bool)
    told = without_copies(copies, leaky, np.eye(2)[np.where(right, leaky.test.labels, 1 - leaky.test.labels)])
    assert (told["exact"], told["near"]) == (2, 3)
    assert told["without_duplicates"] == {"n": 7, "accuracy": 4 / 7, "interval": accuracy_interval(4, 7)}
    assert told["pairs"][0] == {"test": 0, "train": 0, "kind": "exact", "labels": ["cat", "cat"]}
    assert [(it["test"], it["train"], it["kind"]) for it in told["pairs"][2:]] == [(i, i, "near") for i in (2, 3, 4)]


def test_exact_ones_alone_read_no_image(leaky):
    class Unread:
        def __getitem__(self, places):
            raise AssertionError

    train, test = (Images(Unread(), it.labels, it.digests) for it in (leaky.train, leaky.test))
    copies = find_copies(train, test, "exact")
    assert copies.exact.sum() == 2 and copies.near is None and (copies.train >= 0).sum() == 2
    assert find_copies(train, test, "none") is None


def test_a_test_split_of_nothing_else_has_no_score_without_them(leaky, capsys):
    data = Data(leaky.train, None, leaky.train.subset([0, 1]), NAMES)
    told = without_copies(find_copies(data.train, data.test), data, np.eye(2))
    assert told["without_duplicates"] is None
    print_copies(told)
    assert "2 exact, 0 near copies; without them none is left" in capsys.readouterr().out


def test_files_are_named_and_streamed_ones_are_read(tmp_path):
    for split, numbers in (("train", range(12)), ("test", range(20, 26))):
        for name in NAMES:
            (tmp_path / split / name).mkdir(parents=True)
        for number in numbers:
            scene(number).save(tmp_path / split / NAMES[number % 2] / f"{number}.png")
    scene(3).save(tmp_path / "test" / "dog" / "again.jpg", quality=80)
    (tmp_path / "test" / "dog" / "copy.png").write_bytes((tmp_path / "train" / "cat" / "4.png").read_bytes())
    found = {}
    for cache in ("ram", "none"):
        data = load(DataSpec(f"folder:{tmp_path}", validation=0, cache=cache), 48)
        assert isinstance(data.test.pixels, EncodedImages) == (cache == "none")
        found[cache] = without_copies(find_copies(data.train, data.test), data, np.eye(2)[data.test.labels])
    assert found["ram"] == found["none"], "wherever the pixels are kept"
    assert found["ram"]["pairs"] == [
        {"test": str(tmp_path / f"test/dog/{one}"), "train": str(tmp_path / f"train/{other}"), "kind": kind}
        | {"labels": labels}
        for one, other, kind, labels in (
            ("copy.png", "cat/4.png", "exact", ["dog", "cat"]),
            ("again.jpg", "dog/3.png", "near", ["dog", "dog"]),
        )
    ]


def test_no_more_pairs_are_listed_than_are_read():
    pixels = np.random.default_rng(0).integers(0, 256, (PAIRS + 5, 8, 8, 3), dtype=np.uint8)
    data = Data(images(pixels), None, images(pixels), NAMES)
    told = without_copies(find_copies(data.train, data.test), data, np.eye(2)[data.test.labels])
    assert told["exact"] == PAIRS + 5 and len(told["pairs"]) == PAIRS


def test_wrong_labels_are_found():
    """Real scans, one label in twenty wrong, and a classifier that learnt from others, as wrong as these."""
    scans, truth = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    labels, wrong = truth.copy(), random.random(len(truth)) < 0.05
    labels[wrong] = (labels[wrong] + random.integers(1, 10, wrong.sum())) % 10
    model = LinearDiscriminantAnalysis().fit(scans[:900] / 16, labels[:900])
    answers, labels, wrong = model.predict_proba(scans[900:] / 16), labels[900:], wrong[900:]
    found = suspects(answers, labels)
    assert wrong[found].sum() > 0.9 * wrong.sum() and wrong[found].mean() > 0.5, "recall and precision"
    assert wrong[answers.argmax(axis=1) != labels].mean() < 0.5, "of all that the model says otherwise"
    assert wrong[found[:24]].mean() > 0.9, "the most doubtful first"


def test_suspects_by_hand():
    """Thresholds .7, .6, and of the third class none, as it has no image."""
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.3, 0.7, 0.0], [0.1, 0.9, 0.0], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]]
    )
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert suspects(probabilities, labels).tolist() == [5, 2]
    assert suspects(np.eye(3)[labels], labels).tolist() == []
    unsure = np.array([[0.9, 0.1], [0.45, 0.55], [0.1, 0.9], [0.1, 0.9]])
    assert suspects(unsure, np.array([0, 0, 1, 1])).tolist() == [], "another answer, and not in earnest"


def test_suspects_are_listed_and_drawn(leaky, tmp_path):
    labels = leaky.test.labels
    answers = np.where(np.eye(2)[labels] == 1, 0.98, 0.02)
    validation = np.where(np.eye(2)[labels] == 1, 0.9, 0.1)
    answers[[3, 7]] = answers[[3, 7], ::-1]
    data = Data(leaky.train, leaky.test, leaky.test, NAMES)
    told = list_suspects(data, {"validation": validation, "test": answers}, tmp_path / "suspects.png")
    assert told["n"] == 2
    row = {"split": "test", "index": 3, "label": "dog", "answer": "cat", "probability": 0.98}
    assert told["shown"] == [row, row | {"index": 7}]
    with Image.open(tmp_path / "suspects.png") as picture:
        assert picture.format == "PNG"
    assert list_suspects(data, {"test": np.eye(2)[labels]}, tmp_path / "none.png") == {"n": 0, "shown": []}
    assert not (tmp_path / "none.png").exists()


def test_a_run_says_so(finished):
    trust = json.loads((finished.folder / "metrics.json").read_text())["trust"]
    found, left = trust["test"], trust["test"]["without_duplicates"]
    assert found["exact"] == 0, "kerastl made the split"
    assert left["n"] == 360 - found["near"]
    suspected, shown = trust["suspects"]["n"], trust["suspects"]["shown"]
    assert len(shown) == min(SUSPECTS, suspected) and all(it["label"] != it["answer"] for it in shown)
    assert (finished.folder / "suspects.png").exists() == (suspected > 0)
    assert (finished.folder / "duplicates.png").exists() == (found["near"] > 0)


def test_judging_again_says_so(finished, monkeypatch, capsys):
    """The source's own test split, three of whose images were trained on."""
    every = SOURCES["digits"](None, None, None)
    order = np.random.default_rng(0).permutation(len(every.train))
    parts = {"train": every.train.subset(order[:48]), "test": every.train.subset([*order[48:100], *order[:3]])}
    monkeypatch.setitem(SOURCES, "digits", lambda *_: Source(every.class_names, **parts))
    monkeypatch.setattr("kerastl.evaluate_run.recipe", lambda path: override(finished.recipe, **{"data.validation": 0}))
    report, copies = judge_again(finished.folder)
    assert report.n == 55 and copies["exact"] == 3 and copies["without_duplicates"]["n"] == 52 - copies["near"]
    print_copies(copies)
    assert "among the training images: 3 exact" in capsys.readouterr().out
    assert judge_again(finished.folder, "train")[1] is None
    told = headline({"test": report.to_dict(), "trust": {"test": copies}})
    assert told["test_without_duplicates"] == copies["without_duplicates"]
    assert "test_without_duplicates" not in headline({"trust": {"test": copies | {"exact": 0, "near": None}}})
