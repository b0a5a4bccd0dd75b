"""A machine that is not set up as one would like: what needs nothing of it works, and what does is one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerastl.data.home import make_room_in, prepared_home
from kerastl.errors import KerastlWarning, UserError
from kerastl.keras_settings import keras_home


@pytest.fixture
def home_of_stone(monkeypatch, tmp_path):
    """A KERAS_HOME in which no one can write, the administrator included: it is a file."""
    stone = tmp_path / "stone"
    stone.touch()
    monkeypatch.setenv("KERAS_HOME", str(stone / "keras"))
    return stone


def test_a_cache_that_cannot_be_written_names_what_moves_it(home_of_stone, photos, tmp_path):
    from kerastl.data.load import load
    from kerastl.schema import DataSpec

    folder = photos({"cat": 12, "dog": 12})
    with pytest.raises(UserError, match=r'data.cache = "disk": .*KERAS_HOME names another place'):
        load(DataSpec(f"folder:{folder}", cache="disk"), 16)


def test_what_cannot_be_remembered_is_measured_anew(home_of_stone, tiny, tmp_path):
    from kerastl.run import train

    spec = tiny(strategy="head-only", **{"export.formats": [], "train.precision": "auto", "baseline": None})
    with pytest.warns(KerastlWarning, match="measured anew each time; KERAS_HOME names another place"):
        assert train(spec, tmp_path / "run").metrics["test"]["n"]


def test_why_there_is_no_room(home_of_stone):
    assert "KERAS_HOME names another place" in make_room_in(home_of_stone / "x", 1, 10, "key")


HOMELESS = {
    "no variable and no entry": {},
    "a home that is not there": {"HOME": "/nowhere/at/all"},
    "an empty one": {"HOME": ""},
}


@pytest.mark.parametrize("case", HOMELESS)
def test_without_a_home_there_is_a_place(case, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: HOMELESS[case].get("HOME", "~") + path[1:])
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert keras_home() == Path("/tmp/.keras") and prepared_home().is_absolute()


# What of the environment is other than usual, for a command that prints names of its own and a table.
ODD_ENVIRONMENTS = {
    "POSIX, no coercion, a narrow dumb terminal": {
        "LC_ALL": "POSIX",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "COLUMNS": "12",
        "TERM": "dumb",
    },
    "no environment at all": None,
}


@pytest.mark.parametrize("case", ODD_ENVIRONMENTS)
def test_check_answers_in(case, photos, tmp_path):
    folder = photos({"猫": 12, "žába": 12})
    odd = ODD_ENVIRONMENTS[case]
    kept = {name: os.environ[name] for name in ("KERASTL_TREE", "PYTHONPATH") if name in os.environ}
    environment = kept if odd is None else {**os.environ, **odd}
    done = subprocess.run([sys.executable, "-m", "kerastl", "check", folder], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and b"usable as it is" in done.stdout
