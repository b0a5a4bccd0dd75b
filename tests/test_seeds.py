"""Several seeds of one recipe."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kerastl import seeds
from kerastl.cli import app
from kerastl.errors import UserError
from kerastl.evaluate.compare import compare
from kerastl.seeds import seeds_begun, train_seeds

pytestmark = pytest.mark.usefixtures("step_by_step")


@pytest.fixture(scope="module")
def spec(tiny, tmp_path_factory):
    exports = {"export.folder": str(tmp_path_factory.mktemp("exports")), "export.formats": ["keras"]}
    return tiny("cifar10-freeze-first", "head-only", seed=3, **exports)


@pytest.fixture(scope="module")
def two(spec, tmp_path_factory):
    """Stopped after the first seed, and gone on with."""
    folder, trained = tmp_path_factory.mktemp("seeds") / "s", []

    def stop(it, *arguments, **options):
        if trained:
            raise KeyboardInterrupt
        trained.append(it.seed)
        return train(it, *arguments, **options)

    train = seeds.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seeds, "train", stop)
        with pytest.raises(KeyboardInterrupt):
            train_seeds(spec, folder, 2)
    assert trained == [3] and seeds_begun(folder) == 2
    kept = (folder / "seed-3" / "metrics.json").read_bytes()
    done = train_seeds(spec, folder, 2, resume=True)
    assert (folder / "seed-3" / "metrics.json").read_bytes() == kept, "what is finished stays as it is"
    return done


def test_each_seed_is_a_run_and_they_differ(two, spec):
    assert [it["seed"] for it in two.metrics] == [3, 4]
    assert two.metrics[0]["test"]["loss"] != two.metrics[1]["test"]["loss"]
    assert {path.name for path in two.folder.iterdir()} == {
        "seed-3",
        "seed-4",
        "seeds.json",
        "seeds.png",
        "recipe.toml",
        "identity.json",
    }
    assert (two.folder / "seed-4" / "model.keras").is_file()


def test_exports_do_not_overwrite_each_other(two, spec):
    for number in (3, 4):
        assert (Path(spec.export.folder) / f"cifar10-freeze-first-seed-{number}" / "model.keras").is_file()


def test_the_summary_is_that_of_the_runs(two):
    summary = json.loads((two.folder / "seeds.json").read_text())
    assert summary == json.loads(json.dumps(two.summary))
    assert (summary["seeds"], summary["runs"]) == ([3, 4], ["seed-3", "seed-4"])
    for split in ("test", "validation"):
        for score in ("accuracy", "loss"):
            values = [it[split][score] for it in two.metrics]
            assert summary[split][score]["values"] == values
            assert summary[split][score]["mean"] == pytest.approx(np.mean(values))
            assert summary[split][score]["std"] == pytest.approx(np.std(values, ddof=1))
    assert summary["seconds"]["values"] == [it["seconds"] for it in two.metrics]


def test_what_failed_before_the_first_run_is_begun_anew(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(seeds, "train", lambda *_, **how: 1 / 0)
    for number in (2, 3):
        with pytest.raises(ZeroDivisionError):
            train_seeds(spec, tmp_path / "s", number)
        assert seeds_begun(tmp_path / "s") == number


@pytest.mark.parametrize(
    ("changes", "resume", "told"),
    [
        ({}, False, r"holds something already; expected a new folder \(--out\), or one of seeds to go on with"),
        (
            {"train.batch_size": 16},
            True,
            r"begun otherwise: recipe\.train\.batch_size was 32, is 16; expected the same",
        ),
    ],
)
def test_other_seeds_are_refused(two, spec, tiny, changes, resume, told):
    other = tiny("cifar10-freeze-first", "head-only", seed=3, **changes)
    with pytest.raises(UserError, match=told):
        train_seeds(other, two.folder, 2, resume=resume)


def test_the_command_goes_on_with_all_seeds(two):
    """--resume alone: the folder knows how many there are. Nothing is left to train."""
    result = CliRunner().invoke(app, ["train", "--resume", str(two.folder)])
    assert result.exit_code == 0, result.output
    accuracy = two.summary["test"]["accuracy"]
    assert f"interval of the mean]: {accuracy['mean']:.4f} ± {accuracy['std']:.4f} [" in result.output
    assert "2 seeds" in result.output and "seed-4" in result.output and "seeds.json" in result.output


def test_a_single_run_is_no_folder_of_seeds(two, spec):
    with pytest.raises(UserError, match="seed-3: holds something already"):
        train_seeds(spec, two.folder / "seed-3", 2, resume=True)


def test_seeds_are_compared_as_seeds(two, tmp_path):
    """Against themselves; the spread is shown, and a single run is no match for them."""
    found = compare([two.folder, two.folder, two.folder / "seed-3"])
    row = found.rows[0]["test accuracy [95% interval]"]
    assert row.endswith("2 seeds") and f"{two.summary['test']['accuracy']['mean']:.4f} ± " in row
    same, *mixed = found.pairs
    assert same.test == "Welch" and same.n == (2, 2) and same.verdict == "no difference shown (p = 1)"
    assert all(pair.test is None for pair in mixed)
