"""Explanations: the answer, its evidence and what looks alike, for what is sound; in pictures and in lines of JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import kerastl
from kerastl.cli import app
from kerastl.data.load import load
from kerastl.deploy import explain as module
from kerastl.deploy.classifier import open_model
from kerastl.deploy.explain import explain
from kerastl.errors import KerastlWarning, UserError
from kerastl.evaluate.gradcam import gradcam


def call(*arguments):
    """Exit code, output and error output."""
    result = CliRunner().invoke(app, ["explain", *(str(argument) for argument in arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def opened(finished):
    return open_model(finished.folder)


@pytest.fixture(scope="module")
def scans(finished, tmp_path_factory):
    """Three training scans of the run, and a broken file between them, in two folders."""
    folder, data = tmp_path_factory.mktemp("scans"), load(finished.recipe.data, 32)
    (folder / "more").mkdir()
    for place, name in enumerate(("0.png", "2.png", "more/0.png")):
        Image.fromarray(data.train.pixels[place]).save(folder / name)
    (folder / "1.png").write_text("no picture")
    return folder


def test_explained_as_predicted_and_drawn(finished, opened, scans, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 3)
    told = kerastl.explain(opened, scans, tmp_path / "why", neighbours=3, top=2)
    predicted = kerastl.predict(opened, scans, top=2)
    assert [it.file for it in told] == [it.file for it in predicted]
    sound = [it for it in told if not it.error]
    assert told[1].error.startswith("not an image") and told[1].picture is None and len(sound) == 3
    pixels = load(finished.recipe.data, 32).train.pixels[:3]
    heat = gradcam(opened.model, pixels)
    for place, (it, its) in enumerate(zip(sound, (it for it in predicted if not it.error), strict=True)):
        assert it.classes == its.classes and it.probabilities == pytest.approx(its.probabilities)
        assert it.explained == it.classes[0]
        np.testing.assert_array_equal(it.pixels, pixels[place])
        np.testing.assert_allclose(it.heatmap, heat[place], atol=1e-5)
        assert it.neighbours[0].image == place and len(it.neighbours) == 3
    assert [it.picture.name for it in sound] == ["0-explained.png", "2-explained.png", "0-explained-2.png"]
    for it in sound:
        with Image.open(it.picture) as picture:
            assert picture.format == "PNG" and picture.size[0] > 1000


def test_of_a_class_and_a_layer_that_are_named(opened, scans):
    [it] = explain(opened, scans / "0.png", class_name="7", layer="block2_conv", neighbours=0)
    assert it.explained == "7" and it.neighbours == () and it.picture is None
    np.testing.assert_allclose(it.heatmap, gradcam(opened.model, it.pixels[None], 7, "block2_conv")[0], atol=1e-5)


def test_an_export_says_how_to_get_neighbours(finished, scans, tmp_path):
    export = open_model(finished.exports / "model.h5")
    with pytest.warns(KerastlWarning, match=r"not in a run folder; to see some, name the run .*--similar RUN"):
        [it] = explain(export, scans / "0.png", tmp_path)
    assert it.neighbours == () and it.picture.exists()
    [it] = explain(export, scans / "0.png", similar=finished.folder)
    assert it.neighbours[0].image == 0


def test_a_model_in_memory(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    pixels = load(finished.recipe.data, 32).test.pixels[:2]
    with pytest.warns(KerastlWarning, match="not in a run folder"):
        assert explain(finished.model, pixels[:1])[0].neighbours == (), "the run one happens to stand in is not asked"
    told = explain(finished.model, pixels, neighbours=0, top=1)
    assert [it.file for it in told] == ["image 0", "image 1"] and told[0].classes[0].startswith("class ")


@pytest.mark.parametrize(
    ("model", "how", "told"),
    [
        ("saved_model", {}, "a saved_model model, whose layers cannot be looked into; expected a run folder"),
        ("model.keras", {"class_name": "seven"}, "class: found 'seven'; valid: 0, 1"),
        ("model.keras", {"layer": "block2_con"}, "named 'block2_con'; did you mean 'block2_conv'"),
        ("model.keras", {"similar": "nowhere"}, "nowhere: holds no run"),
    ],
)
def test_what_cannot_be_explained_is_told(finished, scans, tmp_path, model, how, told):
    with pytest.raises(UserError, match=told):
        explain(finished.exports / model, scans, tmp_path / "why", **how)
    assert not (tmp_path / "why").exists()


def test_a_line_for_each_image_and_1_for_a_broken_one(finished, scans, tmp_path):
    out = tmp_path / "why"
    code, told, errors = call(finished.folder, scans, "--out", out, "--neighbours", 2, "--top", 3)
    rows = [json.loads(line) for line in told.splitlines()]
    assert code == 1 and "1.png: not an image" in errors and "error: 1 of 4 images cannot be read" in errors
    assert [row["file"] for row in rows] == [str(scans / name) for name in ("0.png", "1.png", "2.png", "more/0.png")]
    assert set(rows[1]) == {"file", "error"}
    assert len(rows[0]["predictions"]) == 3 and rows[0]["explained"] == rows[0]["predictions"][0]["class"]
    assert rows[0]["similar"][0]["image"] == 0 and rows[0]["similar"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert [row.get("picture") and Path(row["picture"]) for row in rows if "error" not in row] == [
        out / f"{name}.png" for name in ("0-explained", "2-explained", "0-explained-2")
    ]
    assert len(list(out.iterdir())) == 3


def test_the_command_says_how_to_get_neighbours(finished, scans, tmp_path):
    code, told, errors = call(finished.exports / "model.keras", scans / "0.png", "--out", tmp_path)
    assert code == 0 and json.loads(told)["similar"] == [] and "warning: no similar training images" in errors
    assert call(finished.folder, scans / "nowhere.png", "--out", tmp_path)[0] == 2
