"""Runs side by side."""

import json
import shutil

import pytest

from kerastl.errors import UserError
from kerastl.evaluate.compare import COLUMNS, compare


def test_two_runs(finished, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(finished.folder, other)
    metrics = json.loads((other / "metrics.json").read_text())
    metrics["recipe"]["model"]["backbone"] = "Elsewhere"
    metrics.pop("test")
    (other / "metrics.json").write_text(json.dumps(metrics))
    first, second = compare([finished.folder, other], tmp_path / "compare.png")
    assert tuple(first) == COLUMNS
    assert first["backbone"] == "SmallCNN" and second["backbone"] == "Elsewhere"
    assert f"{finished.metrics['test']['accuracy']:.4f} [" in first["test accuracy [95% interval]"]
    assert second["test accuracy [95% interval]"] == "not scored"
    assert (tmp_path / "compare.png").stat().st_size > 1000


def test_runs_of_the_same_name_are_told_apart(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "run")
    rows = compare([finished.folder, tmp_path / "run"], tmp_path / "compare.png")
    assert rows[0]["run"] != rows[1]["run"]


def test_no_run(tmp_path):
    with pytest.raises(UserError, match=r"no finished run .*metrics\.json"):
        compare([tmp_path], tmp_path / "compare.png")
