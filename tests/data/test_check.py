"""`kerastl check`: what it finds in a dataset, without TensorFlow and without keeping pixels."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from bad_input import among_photos, content, link_out, photos, scene
from PIL import Image
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.data.check import check
from kerastl.errors import UserError


def call(*arguments):
    result = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.fixture
def scenes(tmp_path):
    """Ten different pictures in each of two classes, in train and test."""
    for i, place in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / place).mkdir(parents=True)
        for number in range(10):
            scene(100 * i + number).save(tmp_path / place / f"{number}.png")
    return tmp_path


def test_a_sound_folder(scenes):
    found = check(str(scenes))
    assert found["usable"] and not found["refused"] and not found["pairs"] and not found["broken"]
    assert found["splits"]["train"] == {"images": 20, "balance": 1.0, "classes": {"cat": 10, "dog": 10}}
    assert found["sizes"]["width"] == {"min": 120, "median": 120.0, "max": 120}
    assert (found["modes"], found["formats"]) == ({"RGB": 40}, {"PNG": 40})
    code, told = call(scenes)
    assert code == 0 and "usable as it is" in told and "exact duplicates: none" in told and "cat 10" in told


def test_duplicates_within_and_across_splits_and_labels_that_contradict(scenes):
    (scenes / "train/cat/copy.png").write_bytes((scenes / "train/cat/0.png").read_bytes())
    (scenes / "test/cat/leak.png").write_bytes((scenes / "train/cat/1.png").read_bytes())
    scene(2).save(scenes / "train" / "dog" / "again.jpg", quality=70)
    scene(3).resize((80, 60)).save(scenes / "test" / "cat" / "small.webp")
    for number, place in enumerate(("train/cat", "test/dog")):
        Image.new("RGB", (40, 40), (number, 0, 0)).save(scenes / place / "flat.png")
    found = check(str(scenes))
    assert found["usable"] and found["flat"] == 2, "a leak is told, and training would not refuse it"
    assert found["duplicates"] == {"exact": {"train": 1, "train-test": 1}, "near": {"train": 1, "train-test": 1}}
    assert {"kind": "near", "files": ["train/cat/2.png", "train/dog/again.jpg"], "splits": ["train"] * 2} | {
        "labels": ["cat", "dog"]
    } in found["pairs"]
    code, told = call(scenes)
    assert code == 0 and "1 within train, 1 between train-test" in told
    assert "the same picture, labelled differently" in told and "cat / dog" in told
    assert "the same picture in two splits" in told and "test/cat/small.webp" in told


def test_what_training_would_refuse_ends_with_1_and_is_counted_all_the_same(scenes):
    (scenes / "train" / "cat" / "x.png").write_bytes(b"")
    (scenes / "train" / "cat" / "y.heic").write_bytes(b"heic")
    (scenes / "train" / "cat" / "notes.txt").write_bytes(b"notes")
    before = sorted(scenes.rglob("*"))
    code, told = call(scenes)
    assert code == 1 and "not usable as it is" in told and "the file is empty" in told and "train/cat/y.heic" in told
    code, told = call(scenes, "--json")
    found = json.loads(told)
    assert code == 1 and found["refused"] == ["2 of 42 images cannot be read"] and found["ignored"] == 1
    assert found["splits"]["train"]["images"] == 20
    assert sorted(scenes.rglob("*")) == before, "nothing is written"


def test_many_versions_of_one_picture_are_each_paired_with_the_first(scenes):
    for number in range(20):
        raw = (scenes / "train/cat/0.png").read_bytes() + bytes([number])
        (scenes / "train" / ("dog" if number == 7 else "cat") / f"version{number}.png").write_bytes(raw)
    found = check(str(scenes))
    assert found["duplicates"] == {"exact": {}, "near": {"train": 20}}
    assert [it["files"][1] for it in found["pairs"] if len(set(it["labels"])) > 1] == ["train/dog/version7.png"]


REFUSED = {
    "link out": (link_out("cat/x.png"), "a link to"),
    "one class": (lambda folder: photos(folder, {"cat": 9}), "expected two or more"),
    "empty class": (lambda folder: photos(folder, {"cat": 9, "dog": 0}), "found no image"),
    "few of a class": (lambda folder: photos(folder, {"cat": 9, "dog": 1}), "without dog"),
    "broken": (content("x.jpg", b"x"), "1 of 25 images cannot be read"),
    "pipe": (among_photos("x.jpg", os.mkfifo), "1 of 25 images cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_training_would_refuse(name, tmp_path):
    build, told = REFUSED[name]
    found = check(build(tmp_path).name)
    assert not found["usable"] and told in found["refused"][0]


def test_modes_sizes_and_formats_are_told_apart(tmp_path):
    photos(tmp_path, {"cat": 12, "dog": 8})
    Image.new("CMYK", (400, 300)).save(tmp_path / "dog" / "x.jpg")
    Image.fromarray(np.zeros((5, 7), np.uint16)).save(tmp_path / "dog" / "y.tif")
    found = check(str(tmp_path))
    assert found["modes"] == {"RGB": 20, "CMYK": 1, "I;16": 1}
    assert found["formats"] == {"PNG": 20, "JPEG": 1, "TIFF": 1}
    assert found["sizes"]["width"] == {"min": 7, "median": 16.0, "max": 400}
    assert found["splits"]["train"]["balance"] == 1.2


def test_other_sources_by_name():
    found = check("digits")
    assert found["usable"] and found["sizes"]["height"]["max"] == 8 and found["formats"] == {"array": 1797}


def test_neither_folder_nor_dataset(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder; and as a dataset: .*valid: cifar10"):
        check("nowhere", str(tmp_path))
    assert call(tmp_path / "nowhere")[0] == 2


def test_a_folder_needs_no_tensorflow(tmp_path):
    photos(tmp_path, {"cat": 12, "dog": 12})
    script = f"""
import sys
from typer.testing import CliRunner
from kerastl.cli import app
assert CliRunner().invoke(app, ["check", {str(tmp_path)!r}]).exit_code == 0
sys.exit(f"imported: {{slow}}" if (slow := {{"tensorflow", "keras"}} & set(sys.modules)) else 0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
