"""A run is known by its id, and its relative paths are meant from where it was begun, wherever one stands."""

import json
import shutil
from pathlib import Path

import pytest

from kerastl.data.load import load
from kerastl.deploy.of_run import export_run
from kerastl.errors import UserError
from kerastl.evaluate.report import report
from kerastl.evaluate.similar import open_lookalikes
from kerastl.evaluate_run import judge_again
from kerastl.identity import IDENTITY, new_identity, read_identity, relocated, remembered
from kerastl.preview import dry_run
from kerastl.recipe import recipe
from kerastl.run import train

pytestmark = pytest.mark.usefixtures("step_by_step")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with images, weights and a run that was begun in it; one stands elsewhere."""
    for place in ("project/photos", "project/data/sub", "project/run", "other"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "project" / "mine.keras").touch()
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "project" / "run" / IDENTITY).write_text(json.dumps(new_identity("run")))
    monkeypatch.chdir(tmp_path / "other")
    return tmp_path / "project"


# What a recipe says, and what is meant from elsewhere: "=" as it stands.
MEANT = {
    "data.name": [
        ("folder:photos", "folder:{}/photos"),
        ("folder:./photos", "folder:{}/./photos"),
        ("folder:gone", "folder:{}/gone"),
        ("folder:/abs/photos", "="),
        ("folder:~/photos", "="),
        ("cifar10", "="),
    ],
    "data.dir": [("data", "{}/data"), ("gone", "{}/gone"), ("/abs", "="), ("", "=")],
    "model.weights": [("mine.keras", "{}/mine.keras"), ("imagenet", "="), ("gone.h5", "=")],
    "model.backbone": [("mine.keras", "{}/mine.keras"), ("ResNet50", "="), ("hub:photos", "=")],
    "export.folder": [("saved_models", "{}/saved_models"), ("/abs", "=")],
}


@pytest.mark.parametrize(("key", "said", "meant"), [(key, *row) for key, rows in MEANT.items() for row in rows])
@pytest.mark.parametrize("how", ["stays", "moved"])
def test_a_path_is_meant_from_where_the_run_was_begun(project, key, said, meant, how):
    if how == "moved":
        project = project.rename(project.with_name("moved"))
    first, _, last = key.partition(".")
    expected = {} if meant == "=" else {key: meant.format(project)}
    assert remembered({first: {last: said}}, project / "run") == expected
    baseline = {"baseline": {key: said}}
    assert remembered(baseline, project / "run") == {f"baseline.{it}": value for it, value in expected.items()}


def test_what_is_in_the_folder_of_the_data_stays(project):
    table = {"data": {"name": "folder:sub", "dir": "data"}, "baseline": {"data.dir": "data"}, "export": 5}
    found = relocated(table, project / "run")
    assert found["data"] == {"name": "folder:sub", "dir": f"{project}/data"}
    assert found["baseline"] == {"data.dir": f"{project}/data"} and table["data"]["dir"] == "data"


def test_where_the_run_was_begun_nothing_changes(project, monkeypatch):
    monkeypatch.chdir(project)
    assert remembered({"data": {"name": "folder:photos"}, "export": {"folder": "saved_models"}}, Path("run")) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"id": 5}',
        '{"id": "", "begun_in": {}}',
        "\xff",
        '{"id": "a", "begun_in": 1}',
    ],
)
def test_a_damaged_identity_is_told(tmp_path, text):
    (tmp_path / IDENTITY).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"identity\.json: cannot be read .*Delete it"):
        read_identity(tmp_path)


@pytest.mark.parametrize("begun_in", ["a\0b", "/" + "x" * 5000, "\ud800"])
def test_a_strange_folder_is_passed_over(tmp_path, begun_in):
    about = {"id": "a", "begun_in": {"absolute": begun_in, "from_run": begun_in}}
    (tmp_path / IDENTITY).write_text(json.dumps(about))
    assert remembered({"data": {"name": "folder:x"}}, tmp_path) == {}


@pytest.fixture(scope="module")
def begun_elsewhere(tiny, tmp_path_factory):
    """A finished run on images that its recipe names by a relative path, with its working folder."""
    import numpy as np
    from PIL import Image

    home = tmp_path_factory.mktemp("home")
    random = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (home / "photos" / label).mkdir(parents=True)
        for number in range(16):
            pixels = random.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(home / "photos" / label / f"{number}.png")
    changes = {"data.name": "folder:photos", "export.formats": ["keras"], "evaluate.report": True, "data.limit": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        train(tiny("cifar10-freeze-first", "head-only", **changes), "run")
    return home


def test_every_command_finds_what_the_run_had(begun_elsewhere, tmp_path, monkeypatch):
    shutil.copytree(begun_elsewhere, tmp_path / "moved")
    begun_elsewhere.rename(begun_elsewhere.with_name("away"))  # so that nothing is where it was
    try:
        _every_command(tmp_path / "moved", tmp_path, monkeypatch)
    finally:
        begun_elsewhere.with_name("away").rename(begun_elsewhere)


def _every_command(home, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    run = Path("../moved/run")
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["run"] == read_identity(run)["id"] and metrics["exports_folder"].startswith("saved_models")
    assert judge_again(run)[0].accuracy == metrics["test"]["accuracy"]
    pictures = (run / "report.html").read_text().count("<img")
    assert report(run).read_text().count("<img") == pictures > 0
    folder, _ = export_run(run, ["keras"])
    assert folder.resolve() == (home / metrics["exports_folder"]).resolve() and list(Path().iterdir()) == []
    again = train(recipe(run / "recipe.toml"), run, resume=True)
    assert again.exports.resolve() == folder.resolve()
    assert open_lookalikes(again.model, run).class_names == ("cat", "dog")
    plans, told = dry_run(recipe(run / "recipe.toml"))
    assert plans and "photos" in told
    data = load(recipe(run / "recipe.toml").data, 32)
    assert data.digests == metrics["data"]["digests"]
