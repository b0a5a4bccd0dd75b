"""A finished run exported again, and what is refused before a training begins."""

import importlib.util
import json
import re
import typing

import pytest
from typer.testing import CliRunner

from kerastl.cli import app
from kerastl.data.load import load
from kerastl.deploy.classifier import open_model
from kerastl.deploy.formats import FORMATS, check_formats
from kerastl.deploy.of_run import export_run, spread
from kerastl.errors import MissingExtra, UserError
from kerastl.preview import dry_run
from kerastl.run import train
from kerastl.schema import ExportSpec

pytestmark = pytest.mark.usefixtures("step_by_step")


def test_a_run_is_exported_and_judged_on_its_test_images(finished, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}
    folder, kept = export_run(finished.folder, ["litert-int8"], tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {"model-int8.tflite", "labels.json", "export.json", "README.md"}
    test, plain = kept["litert-int8"]["test"], finished.metrics["test"]
    assert test["n"] == plain["n"] and test["accuracy_lost"] == plain["accuracy"] - test["accuracy"]
    data = load(finished.recipe.data, 32)
    found = open_model(folder / "model-int8.tflite").answer(data.test.pixels).argmax(axis=1)
    assert test["accuracy"] == pytest.approx((found == data.test.labels).mean())
    assert before == {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*")}, "the run is only read"


def test_a_run_of_an_earlier_kerastl_is_told(finished, tmp_path):
    for name in ("recipe.toml", "labels.json", "model.keras"):
        (tmp_path / name).write_bytes((finished.folder / name).read_bytes())
    older = {key: value for key, value in finished.metrics.items() if key != "temperature"}
    (tmp_path / "metrics.json").write_text(json.dumps(older))
    with pytest.raises(UserError, match="of an earlier kerastl; expected a run of this one"):
        export_run(tmp_path, ["keras"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table(finished, tmp_path):
    arguments = ["export", str(finished.folder), "--formats", "keras,h5", "--out", str(tmp_path), "--temperature"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "model.keras" in result.output and "ms for 32" in result.output
    assert re.search(r" \d\.\de[-+]\d\d ", result.output), (
        "how far the answers are apart, if only by the order of threads"
    )
    assert set(json.loads((tmp_path / "export.json").read_text())) == {"run", "keras", "h5"}
    arguments = ["export", str(finished.folder), "--formats", "keras", "--out", str(tmp_path / "more"), "--json-lines"]
    [event] = map(json.loads, CliRunner().invoke(app, arguments).stdout.splitlines())
    assert (
        event["event"] == "exported" and event["files"] == ["model.keras"] and event["folder"] == str(tmp_path / "more")
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere: no finished run, as it has no model.keras; expected model.keras, recipe.toml"),
        (["RUN", "--formats", "onx"], "found 'onx'; did you mean 'onnx'?"),
    ],
)
def test_what_is_refused(finished, tmp_path, arguments, told):
    arguments = [str(finished.folder) if it == "RUN" else it for it in arguments]
    result = CliRunner().invoke(app, ["export", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and told in result.output
    assert not (tmp_path / "out").exists()


def test_the_table_and_the_recipe_name_the_same_formats():
    hint = typing.get_type_hints(ExportSpec)["formats"]
    assert typing.get_args(typing.get_args(hint)[0]) == tuple(FORMATS)


def test_a_missing_extra_is_told_before_the_training(tiny, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else find(name))
    spec = tiny(**{"export.formats": ["keras", "onnx"]})
    for asked in (lambda: dry_run(spec), lambda: train(spec, tmp_path / "run")):
        with pytest.raises(MissingExtra, match=r'onnx needs tf2onnx, .*pip install "kerastl\[onnx\]"'):
            asked()
    assert not (tmp_path / "run").exists()
    check_formats(["keras", "litert-int8"])


def test_an_unknown_format_is_told():
    with pytest.raises(UserError, match=r"found 'tflite'.*valid: keras, h5"):
        check_formats(["tflite"])


def test_images_are_taken_from_all_over(finished):
    train_split = load(finished.recipe.data, 32).train
    assert len(spread(train_split, 1000)) == len(train_split) and len(spread(train_split, 5)) == 5
    assert (spread(train_split, 2)[1] == train_split.pixels[-1:]).all()
