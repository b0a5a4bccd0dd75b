"""Whole files or the old ones; one process in a folder."""

import os
import resource
from pathlib import Path

import pytest

from kerastl.errors import KerastlError
from kerastl.files import disk_told, locked, sweep_up, whole, write_json, write_text


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "a.txt") as path:
        path.write_text("half of the n")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_suffix_is_kept_and_the_folder_too(tmp_path):
    """Keras and NumPy look at the suffix; a move is one only within a folder."""
    with whole(tmp_path / "model.weights.h5") as path:
        assert path.name.endswith("model.weights.h5") and path.parent == tmp_path
        path.write_text("")


def test_a_folder_takes_the_place_of_another(tmp_path):
    for content in ("a", "b"):
        with whole(tmp_path / "saved") as path:
            path.mkdir()
            (path / content).write_text(content)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["saved", "saved/b"]


def test_what_the_killed_left_is_swept_up(tmp_path):
    write_json(tmp_path / "kept.json", {})
    (tmp_path / "deep" / ".writing-17-model").mkdir(parents=True)
    (tmp_path / "deep" / ".writing-17-model" / "variables").write_text("")
    (tmp_path / ".writing-17-metrics.json").write_text("{")
    sweep_up(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "kept.json"]


def test_one_process_in_a_folder(tmp_path):
    with locked(tmp_path / "run"):
        with (
            pytest.raises(KerastlError, match="run: another process is at work in this folder; wait"),
            locked(tmp_path / "run"),
        ):
            pass
        write_text(tmp_path / "run" / "a", "")
    with locked(tmp_path / "run"):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["a"]


def test_a_folder_in_which_nothing_was_done_does_not_stay(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "run"):
        raise ZeroDivisionError
    assert not (tmp_path / "run").exists()


@pytest.fixture
def full_disk():
    """Files may not grow beyond 10 kB: for the writer the same as a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path, full_disk):
    write_text(tmp_path / "a.txt", "old")
    told = (
        rf"{tmp_path}.*: File too large; make room on the disk\. What was written before is whole.*--resume {tmp_path}"
    )
    with pytest.raises(KerastlError, match=told), disk_told(tmp_path):
        write_text(tmp_path / "a.txt", "x" * 100_000)
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


FORBIDDEN = {
    "a file in the way": (lambda folder: folder / "file" / "run", "a file stands where a folder is needed"),
    "no permission": (
        lambda folder: folder / "closed" / "run",
        r"Permission denied; name a folder that may be written to",
    ),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_where_nothing_can_be_written(tmp_path, case):
    place, told = FORBIDDEN[case]
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir(mode=0o500)
    if case == "no permission" and os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("the administrator may write anywhere")
    with pytest.raises(KerastlError, match=told), disk_told(tmp_path), locked(place(Path(tmp_path))):
        pass
