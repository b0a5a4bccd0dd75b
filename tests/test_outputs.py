"""Where results go: tried before anything slow, never inside the images, never over another run's."""

import json
import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kerastl import outputs
from kerastl.cli import app
from kerastl.deploy.of_run import export_run
from kerastl.errors import UserError
from kerastl.identity import IDENTITY, new_identity
from kerastl.model.graph import digest_of_weights
from kerastl.outputs import check_apart, check_file, check_folder, holder_of, places
from kerastl.recipe import override
from kerastl.run import train
from kerastl.schema import DataSpec

pytestmark = pytest.mark.usefixtures("step_by_step")

ROWS = {"keras": {"file": "model.keras", "weights": "w"}}
# What stands in a folder for exports, and whose it is for the run "me" with the weights w.
HOLDERS = {
    "nothing": (None, "free"),
    "an empty folder": ({}, "free"),
    "a lock": ({".lock": ""}, "free"),
    "its own": ({"export.json": {"run": "me", **ROWS}}, "own"),
    "its own, begun": ({"export.json": {"run": "me"}}, "own"),
    "its own, and a note": ({"export.json": {"run": "me", **ROWS}, "notes.txt": "mine"}, "own"),
    "another run's": ({"export.json": {"run": "other", **ROWS}}, "other"),
    "of an earlier kerastl, the same weights": ({"export.json": ROWS}, "own"),
    "of an earlier kerastl, other weights": ({"export.json": {"keras": {"weights": "v"}}}, "other"),
    "of an earlier kerastl, both": ({"export.json": ROWS | {"h5": {"weights": "v"}}}, "other"),
    "a note": ({"notes.txt": "mine"}, "other"),
    "a model": ({"model.keras": "model"}, "other"),
    "a damaged table": ({"export.json": "{", "model.keras": ""}, "other"),
    "a table of something else": ({"export.json": [1]}, "other"),
    "a deep table": ({"export.json": "[" * 100_000}, "other"),
}


def filled(folder, files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))


@pytest.mark.parametrize("name", HOLDERS)
def test_whose_a_folder_is(tmp_path, tiny, name):
    files, expected = HOLDERS[name]
    spec = override(tiny(), name="pets", **{"export.folder": str(tmp_path)})
    if files is not None:
        filled(tmp_path / "pets", files)
    assert holder_of(tmp_path / "pets", "me", "w") == expected
    first = next(places(spec, "me", "w"))
    assert first == tmp_path / ("pets-2" if expected == "other" else "pets")


def test_its_own_comes_before_what_is_free(tmp_path, tiny):
    spec = override(tiny(), name="pets", **{"export.folder": str(tmp_path)})
    filled(tmp_path / "pets-3", {"export.json": {"run": "me"}})
    filled(tmp_path / "pets-10", {"export.json": {"run": "other"}})
    (tmp_path / "pets-2").touch()
    found = places(spec, "me")
    assert [next(found).name for _ in range(3)] == ["pets-3", "pets", "pets-4"]


@pytest.fixture
def another(finished, tmp_path):
    """A copy of the finished run with an id and a model of its own: another run of the same recipe."""
    import keras

    folder = tmp_path / "another"
    shutil.copytree(finished.folder, folder)
    (folder / IDENTITY).write_text(json.dumps(new_identity(folder)))
    model = keras.models.load_model(folder / "model.keras")
    model.set_weights([weight * 0.5 for weight in model.get_weights()])
    model.save(folder / "model.keras")
    return folder


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_another_run_s_exports_stay(finished, another, tmp_path):
    before = contents(finished.exports)
    try:
        folder, _ = export_run(another, ["keras"])
        assert folder == finished.exports.with_name(f"{finished.exports.name}-2")
        (folder / "notes.txt").write_text("mine")
        assert export_run(another, ["h5"])[0] == folder and set(json.loads((folder / "export.json").read_text())) == {
            "run",
            "keras",
            "h5",
        }
        assert (folder / "notes.txt").read_text() == "mine" and contents(finished.exports) == before
        for refused in (finished.exports, finished.folder):
            with pytest.raises(UserError, match=r"holds .*name another one \(--out\)"):
                export_run(another, ["keras"], refused)
        assert contents(finished.exports) == before
    finally:
        shutil.rmtree(finished.exports.with_name(f"{finished.exports.name}-2"), ignore_errors=True)


def test_taken_by_another_process_meanwhile(finished, another, tmp_path, monkeypatch):
    """Between the look and the lock: the next number is taken."""
    taken = tmp_path / "exports" / "pets"
    filled(taken, {"export.json": {"run": "other"}, "model.keras": "another's"})
    look = outputs.holder_of
    monkeypatch.setattr("kerastl.deploy.of_run.places", lambda *_: iter([taken, taken.with_name("pets-2")]))
    assert look(taken, "me") == "other"
    assert export_run(another, ["keras"])[0].name == "pets-2" and (taken / "model.keras").read_text() == "another's"


def test_exports_of_an_earlier_kerastl_are_known_by_their_weights(finished, tmp_path):
    """Neither the run nor its exports have an id."""
    shutil.copytree(finished.folder, tmp_path / "run", ignore=shutil.ignore_patterns(IDENTITY))
    weights = digest_of_weights(finished.model)
    filled(tmp_path / "out", {"export.json": {"keras": {"file": "model.keras", "weights": weights}}, "model.keras": ""})
    assert export_run(tmp_path / "run", ["keras"], tmp_path / "out")[1]["keras"]["max_difference"] == 0
    filled(tmp_path / "old", {"export.json": {"keras": {"file": "model.keras", "weights": "v"}}, "model.keras": "old"})
    with pytest.raises(UserError, match="holds the exports of another run"):
        export_run(tmp_path / "run", ["keras"], tmp_path / "old")
    assert (tmp_path / "old" / "model.keras").read_text() == "old"


# A place for results, and what is said of it. HERE is a folder with a file `file`, a folder `folder` and a link to nothing `link`.
NOWHERE = {
    "a\0b": "null byte",
    "HERE/file": "a file stands where a folder is needed",
    "HERE/file/below": "a file stands where a folder is needed",
    "/proc/nothing": "No such file",
    "/dev/null": "a file stands",
    "HERE/" + "n" * 300: "name too long",
    "HERE/" + "n/" * 3000: "name too long",
    "HERE/link": "a file stands|No such file",
    "HERE/\ud800": "surrogates not allowed|codec",
}


@pytest.fixture
def here(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "none" / "none")
    return tmp_path


def nothing_is_loaded(monkeypatch):
    for name in ("run", "deploy.of_run", "train.lr_find", "evaluate.similar"):
        module = import_module(f"kerastl.{name}")
        monkeypatch.setattr(module, "load", lambda *_: pytest.fail("found out too late"))


@pytest.mark.parametrize("place", NOWHERE)
def test_a_place_that_cannot_be_written_to(here, tiny, place, monkeypatch):
    path, before = place.replace("HERE", str(here)), sorted(here.iterdir())
    with pytest.raises(UserError, match=f"(?s)--out .*({NOWHERE[place]}).*; expected a place"):
        check_folder(path)
    with pytest.raises(UserError):
        check_file(Path(path) / "x.png")
    nothing_is_loaded(monkeypatch)
    with pytest.raises(UserError, match=r"export\.folder"):
        train(tiny(**{"export.folder": path}), here / "run")
    with pytest.raises(UserError, match="--out"):
        train(tiny(**{"export.folder": str(here / "exports")}), path)
    assert sorted(here.iterdir()) == before, "nothing is left of the attempt"


def test_a_place_that_can_be_written_to_is_left_as_it_was(here):
    check_folder(here / "new" / "below")
    check_folder(here / "folder")
    check_file(here / "new" / "x.png")
    check_file(here / "file")
    assert {it.name for it in here.iterdir()} == {"file", "folder", "link"} and not any((here / "folder").iterdir())
    for name, told in (("folder", "a folder stands there"), ("link", "a link to nothing stands there")):
        with pytest.raises(UserError, match=told.replace("a link", ".*a link")):
            check_file(here / name)


# A place for results, and whether it is refused, where the images are in HERE/photos.
APART = {
    "HERE/photos": "is inside the images",
    "HERE/photos/run": "is inside the images",
    "HERE/photos/cat/a/b": "is inside the images",
    "HERE/other/../photos/run": "is inside the images",
    "HERE/way/run": "is inside the images",  # a link to it
    "HERE": "are inside it",
    "HERE/runs": None,
    "HERE/photos-2": None,
}


@pytest.mark.parametrize("place", APART)
@pytest.mark.parametrize(
    "data", [DataSpec("folder:HERE/photos"), DataSpec("folder:photos", dir="HERE"), DataSpec("folder:HERE/way")]
)
def test_no_results_inside_the_images(tmp_path, place, data):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "way").symlink_to(tmp_path / "photos")
    data = DataSpec(data.name.replace("HERE", str(tmp_path)), dir=data.dir.replace("HERE", str(tmp_path)))
    place, told = place.replace("HERE", str(tmp_path)), APART[place]
    if told:
        with pytest.raises(UserError, match=told):
            check_apart(place, data, around=True)
    else:
        check_apart(place, data, around=True)
    check_apart(place, DataSpec("digits"), around=True)


RECIPE = """
description = "photos"
[data]
name = "folder:photos"
[model]
backbone = "SmallCNN"
weights = "none"
image_size = 32
[[phases]]
name = "all"
epochs = 1
optimizer = { name = "adam", learning_rate = 1e-3 }
"""
# What would write inside the images, or where it cannot.
COMMANDS = {
    "train": ["train", "mine.toml", "--out", "photos/run"],
    "train, its exports": ["train", "mine.toml", "--set", "export.folder=photos"],
    "train, around the images": ["train", "mine.toml", "--out", "."],
    "seeds": ["train", "mine.toml", "--seeds", "2", "--out", "photos/cat"],
    "sweep": ["sweep", "mine.toml", "--over", "seed=1,2", "--out", "photos/sweep"],
    "lr-find": ["lr-find", "mine.toml", "--out", "photos/cat/rates.png"],
    "lr-find, a folder": ["lr-find", "mine.toml", "--out", "photos"],
    "lr-find, nowhere": ["lr-find", "mine.toml", "--out", "/proc/nothing/rates.png"],
    "explain": ["explain", "RUN", "photos", "--out", "photos/why"],
    "explain, nowhere": ["explain", "RUN", "photos", "--out", "mine.toml"],
    "export": ["export", "RUN", "--out", "photos/exports"],
    "export, nowhere": ["export", "RUN", "--out", "mine.toml"],
    "predict, nowhere": ["predict", "RUN", "photos", "--out", "/proc/nothing"],
    "compare, nowhere": ["compare", "RUN", "RUN", "--out", "/proc/nothing"],
    "compare, a folder": ["compare", "RUN", "RUN", "--figure", "photos"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_writes_says_so_at_once(finished, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Path("mine.toml").write_text(RECIPE)
    shutil.copytree(finished.folder, "run")
    text = Path("run/recipe.toml").read_text()
    Path("run/recipe.toml").write_text(text.replace('name = "digits"', 'name = "folder:photos"'))
    before = sorted(tmp_path.rglob("*"))
    nothing_is_loaded(monkeypatch)
    result = CliRunner().invoke(app, ["run" if it == "RUN" else it for it in COMMANDS[name]])
    assert result.exit_code == 2 and (
        "--out" in result.output or "export.folder" in result.output or "--figure" in result.output
    )
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_the_right_to_write(here):
    (here / "folder").chmod(0o500)
    with pytest.raises(UserError, match="Permission denied; expected a place that can be written to"):
        check_folder(here / "folder" / "below")
