"""Sweeps: chosen on validation, scored on test once."""

import csv

import pytest

from kerastl.errors import RecipeError, UserError
from kerastl.sweeps import sweep

KEY = "phases.0.trainable.last_layers"


@pytest.fixture(scope="module")
def swept(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    recipe = tiny("cifar100-last-layers", **{"phases.0.keep_best": True, "export.folder": str(folder / "exports")})
    return sweep(recipe, {KEY: [1, 6]}, folder / "s"), folder / "s"


def test_only_the_winner_is_scored_on_test(swept):
    done, folder = swept
    assert [row[KEY] for row in done.rows] == [1, 6]
    assert done.winner["val_accuracy"] == max(row["val_accuracy"] for row in done.rows)
    for run in sorted(folder.glob("0*")):
        assert not (run / "predictions_test.npz").exists() and '"test": {' not in (run / "metrics.json").read_text()
    assert done.final.metrics["test"]["n"] == 360


def test_the_winner_is_trained_again_on_everything(swept):
    done, folder = swept
    assert done.final.folder == folder / "winner"
    assert done.final.metrics["data"]["train"] == 64 and done.final.metrics["data"]["validation"] == 0
    assert "validation" not in done.final.metrics
    assert done.final.recipe.phases[0].trainable.last_layers == done.winner[KEY]
    assert done.final.recipe.phases[0].monitor is None


def test_what_it_writes(swept):
    _, folder = swept
    with (folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row[KEY] for row in rows] == ["1", "6"] and all(0 <= float(row["val_accuracy"]) <= 1 for row in rows)
    assert (folder / "sweep.png").stat().st_size > 1000


def test_a_bad_value_is_told_before_anything_trains(tiny, tmp_path):
    with pytest.raises(RecipeError, match=f"--set {KEY}=0"):
        sweep(tiny("cifar100-last-layers"), {KEY: [1, 0]}, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("changes", "over", "told"),
    [({}, {}, "nothing to sweep over"), ({"data.validation": 0.0}, {KEY: [1]}, "a sweep chooses on validation images")],
)
def test_sweeps_that_make_no_sense(tiny, tmp_path, changes, over, told):
    with pytest.raises(UserError, match=told):
        sweep(tiny("cifar100-last-layers", **changes), over, tmp_path / "s")
