"""What is kept between runs stays within its budget, and nothing is deleted in vain."""

import os
import runpy
from pathlib import Path

import pytest
from keras.src.backend import config
from tensorflow_datasets.core import constants

from kerastl.data.home import ABOUT, home, keras_home, make_room_in, prepared_home
from kerastl.files import LOCK, UNFINISHED, own_folder


@pytest.fixture
def stores(tmp_path):
    """Three of 1,000 bytes, the last one used last."""
    for age, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows").write_bytes(bytes(1000))
        (tmp_path / name / ABOUT).touch()
        os.utime(tmp_path / name / ABOUT, (1000 + age, 1000 + age))
    return tmp_path


def left(stores):
    return sorted(path.name for path in stores.iterdir())


def test_it_is_where_keras_keeps_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert home() == tmp_path / "kerastl"


def refused(*_):
    raise PermissionError


SET = {"KERAS_HOME": "~/models", "TFDS_DATA_DIR": "~/images"}


@pytest.mark.parametrize(
    ("variables", "at_home", "keras", "prepared"),
    [
        ({}, True, ".keras", "tensorflow_datasets"),
        ({}, False, "/tmp/.keras", "tensorflow_datasets"),
        (SET, True, "models", "images"),
    ],
)
def test_the_places_are_those_of_keras_and_tensorflow_datasets(
    variables, at_home, keras, prepared, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in SET:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "access", lambda *_: at_home)
    assert keras_home() == tmp_path / keras and prepared_home() == tmp_path / prepared
    monkeypatch.setattr(os, "makedirs", refused)  # Keras would write its keras.json there
    theirs = [runpy.run_path(config.__file__)["_KERAS_DIR"], runpy.run_path(constants.__file__)["DATA_DIR"]]
    assert [keras_home(), prepared_home()] == [Path(place).expanduser() for place in theirs]


@pytest.mark.parametrize(
    ("needed", "keep", "expected"), [(0, "", "abc"), (1, "", "bc"), (1, "a", "ac"), (1001, "b", "b"), (3000, "", "")]
)
def test_the_least_recently_used_go_until_there_is_room(stores, needed, keep, expected):
    assert make_room_in(stores, needed, 3000, "x", {stores / name for name in keep}) == ""
    assert left(stores) == list(expected)


def test_what_can_never_fit_deletes_nothing(stores):
    assert make_room_in(stores, 3001, 3000, "a.key", set()) == "3,001 bytes more would exceed a.key = 3,000"
    assert left(stores) == list("abc")


def test_what_a_living_process_writes_is_left_alone(stores):
    with own_folder(stores) as writing:
        (writing / "rows").write_bytes(bytes(9000))
        assert make_room_in(stores, 3000, 3000, "x") == "" and left(stores) == [writing.name]
        (stores / f"{UNFINISHED}killed").mkdir()
        (stores / f"{UNFINISHED}killed" / LOCK).touch()
        (stores / f"{UNFINISHED}killed" / "rows").write_bytes(bytes(9000))
        make_room_in(stores, 0, 3000, "x")
        assert left(stores) == [writing.name]
    assert left(stores) == []
