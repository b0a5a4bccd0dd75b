"""Images below a folder come in the order of their names, and nothing else does."""

import os

import pytest

from kerastl.data.walk import images_below
from kerastl.errors import BrokenImage


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root):
    return [path.relative_to(root).as_posix() for path, broken in images_below(root) if not broken]


def test_every_depth_in_order_without_litter(tmp_path):
    write(tmp_path, "b.JPG", "a/2.png", "a/10.webp", "c/d/e.tif", "a/notes.txt", ".hidden/x.png", ".y.png", "Thumbs.db")
    assert found(tmp_path) == ["a/10.webp", "a/2.png", "b.JPG", "c/d/e.tif"]


def test_links_lead_nowhere_else(tmp_path):
    write(tmp_path, "else/where.png", "in/here.png", "in/deep/x.png")
    for name, target in {
        **{"there": "else", "up": ".", "back": "in", "twice": "in/deep", "file.png": "else/where.png"},
        **{"same.png": "in/here.png", "gone.png": "in/gone", "chain": "in/there"},
    }.items():
        (tmp_path / "in" / name).symlink_to(tmp_path / target)
    told = {path.name: str(broken) for path, broken in images_below(tmp_path / "in") if broken}
    assert sorted(told) == ["chain", "file.png", "there", "up"]
    assert all("outside the folder that was given" in why for why in told.values())
    assert found(tmp_path / "in") == ["deep/x.png", "gone.png", "here.png", "same.png"]
    (tmp_path / "way").symlink_to(tmp_path / "in")
    assert found(tmp_path / "way") == found(tmp_path / "in"), "the folder that was asked for may be a link itself"


def test_links_among_themselves_are_no_maze(tmp_path):
    """Two links in each of thirty folders would be a billion ways."""
    for number in range(30):
        write(tmp_path, f"{number}/x.png")
        for name in "ab":
            (tmp_path / str(number) / name).symlink_to(tmp_path / str((number + 1) % 30))
    assert len(found(tmp_path)) == 30


def test_it_lists_a_folder_only_when_it_comes_to_it(tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "b/2.png")
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path.name) or scandir(path))
    assert next(images_below(tmp_path))[0].name == "1.png"
    assert listed == [tmp_path.name, "a"]


def test_a_folder_that_cannot_be_listed_is_told_and_passed(tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "b/2.png")
    scandir = os.scandir

    def refuse(path):
        if path.name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (closed, why), (sound, none) = images_below(tmp_path)
    assert closed == tmp_path / "a" and isinstance(why, BrokenImage) and "Permission denied" in str(why)
    assert sound == tmp_path / "b" / "2.png" and none is None


@pytest.mark.parametrize("name", ["photo.heic", "scan.jp2", "x.jpeg"])
def test_formats_that_pillow_cannot_open_are_found_too_so_that_they_can_be_named(tmp_path, name):
    write(tmp_path, name)
    assert found(tmp_path) == [name]
