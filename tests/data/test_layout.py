"""Splits, classes and litter are told apart by their names, in whatever way they are written; what is left out is said."""

import unicodedata

import pytest

from kerastl.data.check import check
from kerastl.data.folder import list_folder
from kerastl.data.layout import split_of
from kerastl.data.load import load
from kerastl.data.walk import is_litter
from kerastl.errors import KerastlWarning, UserError
from kerastl.schema import DataSpec

SPLITS = {
    "train": "train Train TRAIN training Training_Set train_set trainset train-data seg_train train_images trainimages train2017 "
    "Trainingsdaten entraînement 训练集",
    "validation": "val Val valid validation VALID val2017 seg_val dev Dev_Set eval Evaluation validación validierung",
    "test": "test Test TEST testing test_set Testset test-images seg_test test2017 holdout prueba 测试",
    None: "cat train_station test_tube contest Steam_Train trained tester detest toy_train 2017 set images a training_ground_b",
}


@pytest.mark.parametrize(
    ("name", "split"), [(name, split) for split, names in SPLITS.items() for name in names.split()]
)
def test_the_split_of_a_name(name, split):
    assert split_of(name) == split_of(unicodedata.normalize("NFD", name)) == split_of(f" {name} ") == split


LITTER = "@eaDir __MACOSX $RECYCLE.BIN lost+found .ipynb_checkpoints Thumbs.db desktop.ini .DS_Store ._cat @Recycle #recycle __pycache__"


@pytest.mark.parametrize("name", [*LITTER.split(), "System Volume Information", "~$cat.jpg"])
def test_litter(name):
    assert is_litter(name) and is_litter(name.upper()) and not is_litter("cats")


# Folders, and how many images the splits then have.
FOUND = {
    "capitals": ({"Train/cat": 6, "Train/dog": 6, "Test/cat": 3, "Test/dog": 3}, {"train": 12, "test": 6}),
    "training_set": ({"training_set/cat": 6, "training_set/dog": 6, "test_set/dog": 3}, {"train": 12, "test": 3}),
    "the same name within": (
        {"seg_train/seg_train/cat": 6, "seg_train/seg_train/dog": 6, "seg_test/seg_test/cat": 2},
        {"train": 12, "test": 2},
    ),
    "dev": ({"train/cat": 6, "train/dog": 6, "dev/cat": 2}, {"train": 12, "validation": 2}),
    "thumbnails": ({"cat": 6, "dog": 6, "@eaDir/x": 2, "cat/@eaDir/0.png": 1, "lost+found": 1}, {"train": 12}),
    "classes in other letters": (
        {"train/Cat": 6, "train/café": 6, "test/cat": 2, "test/cafe\u0301 ": 2},
        {"train": 12, "test": 4},
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_found(case, photos):
    folders, counts = FOUND[case]
    found = list_folder(photos(folders))
    assert not found.problems and {split: len(files) for split, files in found.files.items()} == counts
    assert len(found.class_names) == 2


# Folders, and what is said that is left out or taken together.
SAID = {
    "photos beside the classes": (
        {"cat": 9, "dog": 9, "": 1},
        "1 images stand beside the class folders and are not read, as 0.png",
    ),
    "photos beside the classes of a split": (
        {"train/cat": 9, "train/dog": 9, "train": 2},
        "2 images stand beside the class folders",
    ),
    "a folder beside the splits": ({"train/cat": 9, "train/dog": 9, "pred": 2}, "pred beside the splits: not read"),
    "a class in other letters": (
        {"train/Cat": 9, "train/dog": 9, "test/cat": 2},
        "test/cat: taken for the class Cat of train",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_what_is_left_out_is_said(case, photos):
    folders, told = SAID[case]
    folder = photos(folders)
    with pytest.warns(KerastlWarning, match=told):
        load(DataSpec(f"folder:{folder}"), 16)
    found = check(str(folder))
    assert found["usable"] and any(told in it for it in found["left_out"])


REFUSED = {
    "val beside valid": (
        {"train/a": 9, "train/b": 9, "val/a": 2, "valid/a": 2},
        "val and valid, all of them named as the validation",
    ),
    "Test beside test": ({"train/a": 9, "train/b": 9, "test/a": 2, "Test/a": 2}, "all of them named as the test split"),
    "a class called train": ({"car": 9, "plane": 9, "train": 9}, 'train, named as a split, .*data.splits = "none"'),
    "a class called test": ({"exam": 9, "homework": 9, "test": 9}, 'test, named as a split, .*data.splits = "none"'),
    "splits without classes": ({"train": 9, "test": 9}, "train and test, named as a split, with no class folders"),
    "two classes that differ in case": ({"Cat": 9, "cat": 9, "dog": 9}, "Cat and cat, which differ in no more than"),
    "one folder too many": (
        {"photos/cat": 9, "photos/dog": 9},
        "if its folders are the classes, name it: folder:.*/photos",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_mean_two_things_is_refused(case, photos):
    folders, told = REFUSED[case]
    folder = photos(folders)
    with pytest.raises(UserError, match=told):
        load(DataSpec(f"folder:{folder}"), 16)
    assert not check(str(folder))["usable"]


def test_every_folder_is_a_class_where_that_is_said(photos):
    folder = photos({"car": 20, "plane": 20, "train": 20, "Test": 20})
    assert load(DataSpec(f"folder:{folder}", splits="none"), 16).class_names == ("Test", "car", "plane", "train")
    assert check(str(folder), splits="none")["usable"]
