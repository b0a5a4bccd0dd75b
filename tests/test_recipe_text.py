"""Recipes and options as people write them: a byte-order mark, Windows paths, ~, a folder without folder:, an archive, an address."""

import pytest
from exported import model_of
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.data.load import load
from kerastl.errors import UserError
from kerastl.recipe import recipe
from kerastl.schema import DataSpec
from kerastl.space import parse_over

TEXT = """description = "mine"
strategy = "full"
data = { name = "%s" }
model = { backbone = "SmallCNN", weights = "none", image_size = 32 }
"""


def written(folder, raw, name="x.toml"):
    (folder / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return folder / name


@pytest.mark.parametrize("name", ["x.toml", "x.TOML", "x.Toml"])
def test_a_byte_order_mark_is_no_error(name, tmp_path):
    assert recipe(written(tmp_path, b"\xef\xbb\xbf" + (TEXT % "digits").encode(), name)).data.name == "digits"


REFUSED = {
    "UTF-16": ((TEXT % "digits").encode("utf-16"), "found UTF-16|UTF-16; expected a recipe in TOML, saved as UTF-8"),
    "backslashes that are no escapes": (
        TEXT % r"folder:C:\Users\me",
        "not TOML: .*write a Windows path in single quotes",
    ),
    "backslashes that are escapes": (TEXT % r"folder:C:\temp\new", "a backslash in double quotes is an escape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_toml_makes_of_it_is_said(case, tmp_path):
    raw, told = REFUSED[case]
    with pytest.raises(UserError, match=told):
        recipe(written(tmp_path, raw))


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("data.name", "folder:~/my photos", "folder:{}/my photos"),
        ("data.dir", "~", "{}"),
        ("model.weights", "~/w.weights.h5", "{}/w.weights.h5"),
        ("model.backbone", "~/m.keras", "{}/m.keras"),
        ("export.folder", "~/models", "{}/models"),
    ],
)
def test_home(key, value, path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    table, name = key.split(".")
    made = recipe(written(tmp_path, TEXT % "digits"), **{key: value})
    assert getattr(getattr(made, table), name) == path.format(tmp_path)


def test_home_in_an_option(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "there").mkdir()
    result = CliRunner().invoke(app, ["predict", "~/there", "--out=~/x.json", "~/there"])
    assert f"{tmp_path}/there: holds no model" in result.stderr


MEANT = {
    "a folder": ("photos", "which is a folder or file; expected folder:photos"),
    "an archive": ("folder:photos.zip", "is a file; .*unpack it first: python -m zipfile -e photos.zip photos"),
    "an address": ("https://example.org/photos.zip", "is an address; download it"),
    "a file": ("folder:notes.txt", "is a file; expected a folder"),
}


@pytest.mark.parametrize("case", MEANT)
def test_what_was_meant_is_said(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    written(tmp_path, "x", "photos.zip"), written(tmp_path, "x", "notes.txt")
    name, told = MEANT[case]
    with pytest.raises(UserError, match=told):
        load(DataSpec(name), 16)


def test_a_folder_instead_of_a_recipe(tmp_path):
    with pytest.raises(UserError, match=r'data.name = "folder:.*docs/own-images.md.*kerastl check'):
        recipe(tmp_path)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('head,["stem","head"]', ["head", ["stem", "head"]]),
        ("1,2", [1, 2]),
        ('{last_layers = 3},"a,b"', [{"last_layers": 3}, "a,b"]),
        ("[[1,2],[3]],4", [[[1, 2], [3]], 4]),
    ],
)
def test_values_of_a_sweep(text, values):
    assert parse_over(f"key={text}") == ("key", values)


@pytest.mark.parametrize("name", ["MODEL.KERAS", "Model.Keras", "MODEL.H5"])
def test_suffixes_in_capitals(name, tmp_path):
    from kerastl.deploy.classifier import open_model

    model_of("SmallCNN").save(tmp_path / name.lower())
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert open_model(tmp_path / name).class_names
