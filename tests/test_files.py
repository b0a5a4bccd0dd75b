"""Whole files or the old ones; one process in a folder."""

import os
import resource
import stat
from pathlib import Path

import pytest

from kerastl import files
from kerastl.errors import KerastlError, UserError
from kerastl.files import LOCK, disk_told, is_alive, locked, refuse_links, sweep_up, whole, write_json, write_text


def test_a_file_that_was_not_finished_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "a.txt") as path:
        path.write_text("half of the n")
        raise ZeroDivisionError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_the_suffix_is_kept_and_the_folder_too(tmp_path):
    """Keras and NumPy look at the suffix; a move is one only within a file system."""
    with whole(tmp_path / "model.weights.h5") as path:
        assert path.name == "model.weights.h5" and path.parent.parent == tmp_path
        path.write_text("")


def test_a_folder_takes_the_place_of_another(tmp_path):
    for content in ("a", "b"):
        with whole(tmp_path / "saved") as path:
            path.mkdir()
            (path / content).write_text(content)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["saved", "saved/b"]


def killed(folder, *names):
    """What a process leaves that was killed while it wrote."""
    folder.mkdir(parents=True)
    for name in (LOCK, *names):
        (folder / name).write_text("")


def test_what_the_killed_left_is_swept_up(tmp_path):
    write_json(tmp_path / "kept.json", {})
    killed(tmp_path / "deep" / ".writing-17", "model")
    killed(tmp_path / ".writing-18" / "saved", "variables")
    (tmp_path / ".writing-18" / LOCK).touch()
    (tmp_path / ".writing-19").mkdir()
    (tmp_path / ".writing-17-metrics.json").write_text("{")
    sweep_up(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "kept.json"]


def test_what_a_living_process_writes_is_not_swept_up(tmp_path):
    """Neither from the folder itself, nor from one above; nor what has had no time to get its lock."""
    killed(tmp_path / "deep" / ".writing-17", "model")
    (tmp_path / "deep" / ".writing-18").mkdir()
    (tmp_path / "deep" / ".writing-18" / "saved").write_text("")
    with whole(tmp_path / "deep" / "model.keras") as path:
        path.write_text("new")
        sweep_up(tmp_path)
        sweep_up(tmp_path / "deep")
        assert is_alive(path.parent) and not (tmp_path / "deep" / ".writing-17").exists()
    assert (tmp_path / "deep" / "model.keras").read_text() == "new"
    assert (tmp_path / "deep" / ".writing-18").exists()
    os.utime(tmp_path / "deep" / ".writing-18", (1000, 1000))
    sweep_up(tmp_path)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model.keras"]


def test_a_folder_killed_between_its_two_moves_is_the_new_one(tmp_path):
    """For a moment neither the old folder nor the new one stands there."""
    killed(tmp_path / ".writing-17", "saved", ".old")
    (tmp_path / ".writing-17" / "saved").write_text("new")
    sweep_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"] and (tmp_path / "saved").read_text() == "new"


def test_killed_as_it_deletes_it_leaves_what_is_swept_up_at_once(tmp_path, monkeypatch):
    """The lock goes last: a folder without one may be somebody's who has just begun."""
    remove, locked_at = files.remove, []
    monkeypatch.setattr(
        files, "remove", lambda path: locked_at.append((path.name, bool([*tmp_path.glob(f"*/{LOCK}")]))) or remove(path)
    )
    with files.own_folder(tmp_path) as own:
        for name in "abz":
            (own / name).write_text("x")
    assert sorted(locked_at[:3]) == [("a", True), ("b", True), ("z", True)] and not list(tmp_path.iterdir())


def test_nobody_can_foretell_the_name(tmp_path):
    names = set()
    for _ in range(2):
        with whole(tmp_path / "a.txt") as path:
            path.write_text("")
            names.add(path.parent.name)
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(names) == 2 and all(len(name) > 20 and str(os.getpid()) != name[9:] for name in names)


# What a stranger may have put where something is written: a link to the user's own file or folder.
PLANTED = {
    "the file itself": lambda folder, out: (folder / "a.json").symlink_to(out / "precious"),
    "the file itself, a folder": lambda folder, out: (folder / "a.json").symlink_to(out),
    "the lock": lambda folder, out: (folder / LOCK).symlink_to(out / "precious"),
    "a leftover": lambda folder, out: (folder / ".writing-1-a.json").symlink_to(out / "precious"),
    "a leftover, a folder": lambda folder, out: (folder / ".writing-1").symlink_to(out),
    "the lock of a leftover": lambda folder, out: (
        (folder / ".writing-1").mkdir(),
        (folder / ".writing-1" / LOCK).symlink_to(out / "precious"),
        os.utime(folder / ".writing-1", (1000, 1000)),
    ),
    "what is in a leftover": lambda folder, out: (
        killed(folder / ".writing-1"),
        (folder / ".writing-1" / "more").symlink_to(out),
    ),
    "a folder with leftovers": lambda folder, out: (
        killed(out / ".writing-1", "precious"),
        (folder / "more").symlink_to(out),
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_no_link_is_followed(tmp_path, planted):
    folder, out = tmp_path / "sent", tmp_path / "out"
    for made in (folder, out):
        made.mkdir()
    (out / "precious").write_text("mine")
    PLANTED[planted](folder, out)
    before = {str(path): path.is_file() and path.read_text() for path in out.rglob("*")}
    try:
        with locked(folder):
            sweep_up(folder)
            write_json(folder / "a.json", {})
    except UserError as error:
        assert planted == "the lock" and "is no lock of kerastl's" in str(error)
    else:
        assert (folder / "a.json").read_text() == "{}\n" and not (folder / "a.json").is_symlink()
    assert {str(path): path.is_file() and path.read_text() for path in out.rglob("*")} == before
    assert not [path for path in folder.glob(".writing-*") if planted != "the lock"]


# What is refused before anything in a folder is read or written.
REFUSED = {
    "logs": (lambda path: path.symlink_to(".."), r"is a link to \.\."),
    "state/step.npz": (lambda path: path.symlink_to("/etc/passwd"), "is a link to /etc/passwd"),
    "model.keras": (lambda path: path.symlink_to("model.keras"), "is a link to model.keras"),
    "baseline/metrics.json": (lambda path: path.symlink_to("nowhere"), "is a link to nowhere"),
    ".lock": (lambda path: path.symlink_to("../.bashrc"), r"is a link to \.\./\.bashrc"),
    "\x1b[2J": (lambda path: path.symlink_to("\x1b[0m"), r"\\x1b\[2J: is a link to \\x1b\[0m;"),
    "history.csv": (os.mkfifo, "is a pipe; expected files and folders"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_links_and_pipes_in_a_folder_are_refused(tmp_path, name):
    make, told = REFUSED[name]
    (tmp_path / "run" / name).parent.mkdir(parents=True)
    (tmp_path / "mine").symlink_to("run")
    refuse_links(tmp_path / "mine")  # itself a link: it is the user's own word
    refuse_links(tmp_path / "nowhere")
    make(tmp_path / "run" / name)
    for folder in ("run", "mine"):
        with pytest.raises(UserError, match=told):
            refuse_links(tmp_path / folder)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["pipe", "device"])
def test_a_device_is_not_replaced(tmp_path, make):
    make(tmp_path / "out")
    with pytest.raises(UserError, match="out: a pipe or a device stands there; expected the name of a file"):
        write_text(tmp_path / "out", "")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and not (tmp_path / "out").is_file()


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
