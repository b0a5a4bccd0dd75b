"""Sweeps: chosen on validation, scored on test once."""

import csv

import pytest

from kerastl import sweeps
from kerastl.errors import KerastlError, RecipeError, UserError
from kerastl.sweeps import sweep

pytestmark = pytest.mark.usefixtures("step_by_step")

KEY, RATE = "phases.0.trainable.last_layers", "phases.0.optimizer.learning_rate"


@pytest.fixture(scope="module")
def spec(tiny, tmp_path_factory):
    exports = str(tmp_path_factory.mktemp("exports"))
    return tiny("cifar100-last-layers", **{"phases.0.keep_best": True, "export.folder": exports})


@pytest.fixture(scope="module")
def short(tiny):
    """Two epochs of the head."""
    return tiny(strategy="head-only", **{"phases.0.epochs": 2, "train.epochs_scale": 1.0, "export.formats": []})


@pytest.fixture(scope="module")
def swept(spec, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "s"
    return sweep(spec, {KEY: [1, 6]}, folder), folder


def table(folder):
    with (folder / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def test_only_the_winner_is_scored_on_test(swept):
    done, folder = swept
    assert [row[KEY] for row in done.rows] == [1, 6]
    assert done.winner["val_accuracy"] == max(row["val_accuracy"] for row in done.rows)
    runs = sorted(folder.glob("0*"))
    assert [run.name for run in runs] == ["01-last-layers-1", "02-last-layers-6"]
    for run in runs:
        assert not (run / "predictions_test.npz").exists() and '"test": {' not in (run / "metrics.json").read_text()
    assert done.final.metrics["test"]["n"] == done.test["n"] == 360


def test_the_winner_is_trained_again_on_everything(swept):
    done, folder = swept
    assert done.final.folder == folder / "winner" and done.test["run"].endswith(str(folder / "winner"))
    assert done.final.metrics["data"]["train"] == 64 and done.final.metrics["data"]["validation"] == 0
    assert "validation" not in done.final.metrics and done.final.metrics["temperature"] is None
    assert "temperature" not in (done.final.folder / "labels.json").read_text()
    assert done.final.recipe.phases[0].trainable.last_layers == done.winner[KEY]
    assert done.final.recipe.phases[0].monitor is None


def test_what_it_writes(swept):
    _, folder = swept
    rows = table(folder)
    assert [row[KEY] for row in rows] == ["1", "6"] and all(0 <= float(row["val_accuracy"]) <= 1 for row in rows)
    assert [row["state"] for row in rows] == ["complete"] * 2
    assert (folder / "sweep.png").stat().st_size > 1000


def test_called_again_it_repeats_nothing(spec, swept, monkeypatch):
    done, folder = swept
    monkeypatch.setattr("kerastl.run.load", None)  # without images nothing is trained
    again = sweep(spec, {KEY: [1, 6]}, folder)
    assert (again.rows, again.winner, again.test) == (done.rows, done.winner, done.test)
    assert again.final.metrics["test"]["accuracy"] == again.test["accuracy"]


def test_another_sweep_is_refused_in_the_folder(spec, swept, tmp_path):
    _, folder = swept
    told = (
        r"this sweep was begun otherwise: space\.tried\.\S+1 was '6', is '3'; expected the same, or name a new folder"
    )
    with pytest.raises(UserError, match=told):
        sweep(spec, {KEY: [1, 3]}, folder)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else already; expected a new folder"):
        sweep(spec, {KEY: [1, 3]}, tmp_path)


def test_a_killed_trial_goes_on_in_its_folder(short, tmp_path, monkeypatch):
    """Ended in its last epoch, the trial repeats that one only."""
    seen = []

    def report(trial, rows):
        seen.append(len(rows))
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "report", report)
    with pytest.raises(KeyboardInterrupt):
        sweep(short, {RATE: [0.01]}, tmp_path / "s")
    done = sweep(short, {RATE: [0.01]}, tmp_path / "s")
    assert seen == [1, 2, 2]
    assert [row["epochs"] for row in done.rows] == [2] and len(list((tmp_path / "s").glob("0*"))) == 1


def test_a_search_prunes_and_leaves_out_what_diverges(short, tmp_path, monkeypatch):
    learned = []

    def report(trial, rows):
        trial.report(0.5, len(rows))
        learned.append(trial.user_attrs["place"])
        if list(dict.fromkeys(learned)).index(trial.user_attrs["place"]) == 1:
            raise sweeps.Pruned

    monkeypatch.setattr(sweeps, "report", report)
    search = {RATE: "1e-3..1e-2:log", "train.learning_rate_scale": [1.0, 1e30]}
    done = sweep(short, None, tmp_path / "s", search=search, trials=5)
    pruned = list(dict.fromkeys(learned))[1]
    for place, row in enumerate(done.rows):
        diverges = row["train.learning_rate_scale"] == 1e30
        assert row["state"] == ("failed" if diverges else "pruned" if place == pruned else "complete")
        assert bool(row["why"]) == diverges
    assert done.winner["state"] == "complete" and {row["state"] for row in done.rows} >= {"failed", "pruned"}
    assert not list((tmp_path / "s").glob(f"{pruned + 1:02d}-*/state")), "what was pruned keeps no state"
    assert (tmp_path / "s" / "sweep.png").stat().st_size > 1000


def test_where_nothing_can_be_trained(short, tmp_path):
    with pytest.raises(KerastlError, match=r"no setting was trained to its end: phase 'head', epoch 1.*Try others"):
        sweep(short, {RATE: [1e30]}, tmp_path / "s")


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
