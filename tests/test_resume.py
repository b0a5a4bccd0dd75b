"""A run that was killed goes on to the same end; one that would be another run is refused."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from kerastl.circumstances import timeless
from kerastl.deploy.formats import FORMATS
from kerastl.errors import KerastlError, UserError
from kerastl.files import locked, write_json
from kerastl.recipe import override
from kerastl.resume import begun, finished
from kerastl.run import train
from kerastl.stopping import Stopped, stop_signals
from kerastl.train import fit, state, steps
from kerastl.train.store import Store
from kerastl.train.trackers import TRACKERS, Tracker

pytestmark = pytest.mark.usefixtures("to_the_bit")


class Killed(BaseException):
    """Nothing catches it on the way, as nothing catches SIGKILL."""


def gave(folder):
    """What is the same in two runs of a recipe: metrics but for times, weights, predictions."""
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["seconds"] >= sum(phase["seconds"] for phase in metrics["phases"]) - 1, "killed processes count"
    metrics = timeless(metrics)
    with np.load(folder / "predictions_test.npz") as saved:
        predictions = saved["probabilities"]
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    return metrics, [predictions, *weights]


def assert_same(one, other):
    assert one[0] == other[0]
    for mine, its in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(mine, its)


TOLD = {}  # by the run of a tracker: the epochs it was told of


def diary(name, parameters, known):
    """A tracker that remembers."""
    run = known or str(len(TOLD))
    told = TOLD.setdefault(run, [])
    return run, "here", keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: told.append(epoch))


@pytest.fixture(scope="module")
def spec(tiny, tmp_path_factory):
    changes = {"train.deterministic": True, "train.batch_size": 16, "train.epochs_scale": 0.5}
    changes |= {"train.trackers": ["wandb"], "export.folder": str(tmp_path_factory.mktemp("exports"))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TRACKERS, "wandb", Tracker(diary, lambda *_: None, lambda *_: None))
        yield tiny("cifar10-freeze-first", **changes)


@pytest.fixture(scope="module")
def alone(spec, tmp_path_factory):
    """The folder of a run that was never killed."""
    return train(spec, tmp_path_factory.mktemp("alone") / "run").folder


@pytest.fixture(scope="module")
def left_alone(alone):
    return gave(alone)


def test_the_same_recipe_gives_the_same_metrics(alone, left_alone, tmp_path):
    """By way of the recipe.toml of a run; in an empty folder that is "resumed"."""
    (tmp_path / "second").mkdir()
    run = train(str(alone / "recipe.toml"), tmp_path / "second", resume=True)
    assert_same(gave(run.folder), left_alone)


def dies(function, before=True):
    def call(*arguments, **keywords):
        if not before:
            function(*arguments, **keywords)
        raise Killed

    return call


# Where the process ends: the object, its attribute, whether before or after it has done its work.
DEATHS = {
    "in the feature cache": (Store, "write", False),
    "between phases": (state, "keep_phases", False),
    "before a phase is kept": (state, "keep_phases", True),
    "as model.keras is written": (keras.Model, "save", False),
    "before the metrics": ("kerastl.run", "write_json", True),
}


@pytest.mark.parametrize(
    "where", [*list(DEATHS)[:2], *(pytest.param(it, marks=pytest.mark.slow) for it in list(DEATHS)[2:])]
)
def test_killed_and_resumed(spec, left_alone, tmp_path, monkeypatch, where):
    import kerastl.run

    place, name, before = DEATHS[where]
    place = kerastl.run if isinstance(place, str) else place
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(place, name, dies(getattr(place, name), before))
        train(spec, tmp_path / "run")
    run = train(spec, tmp_path / "run", resume=True)
    assert_same(gave(run.folder), left_alone)
    assert list(TOLD.values())[-1] == [1, 2, 3], "all of it in one run of the tracker"
    assert not any(path.name.startswith(".") or path.name == "state" for path in run.folder.iterdir())


def test_killed_in_an_export_and_a_finished_run_is_given_back(spec, left_alone, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setitem(
            FORMATS, "saved_model", replace(FORMATS["saved_model"], write=dies(FORMATS["saved_model"].write, False))
        )
        train(spec, tmp_path / "run")
    run = train(spec, tmp_path / "run", resume=True)
    assert_same(gave(run.folder), left_alone)
    assert sorted(path.name for path in run.exports.iterdir()) == [
        "README.md",
        "export.json",
        "labels.json",
        "model.h5",
        "model.keras",
        "saved_model",
    ]
    monkeypatch.setattr("kerastl.run.load", None)  # nothing is done again
    again = train(spec, tmp_path / "run", resume=True)
    assert again.metrics == json.loads(json.dumps(run.metrics)) and again.exports == run.exports


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_asked_to_stop_it_keeps_its_state_and_goes_on(spec, left_alone, tmp_path, monkeypatch, signum):
    class Interrupting(fit.PhaseProgress):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if self.plan.phase.name != "head" and batch == 1:
                os.kill(os.getpid(), signum)

    with (
        monkeypatch.context() as patch,
        pytest.raises(Stopped, match="state is kept: in phase 'fine-tune', epoch 1") as stopped,
    ):
        patch.setattr(fit, "PhaseProgress", Interrupting)
        patch.setattr(steps, "CALL", 1)  # one step a call
        train(spec, tmp_path / "run")
    assert stopped.value.signum == signum
    assert state.load(tmp_path / "run" / state.STEP)[1]["step"] == 2
    monkeypatch.setattr(steps, "CALL", 1)
    assert_same(gave(train(spec, tmp_path / "run", resume=True).folder), left_alone)


def test_asked_to_stop_while_features_are_computed_it_ends_at_once(spec, tmp_path, monkeypatch):
    """Before a step that could keep a state; the features that were written are there."""
    monkeypatch.setattr(Store, "write", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        train(spec, tmp_path / "run")
    assert begun(tmp_path / "run")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(signum):
    with stop_signals(at_once=False) as stop, pytest.raises(Stopped, match=f"stopped by {signum.name}"):
        os.kill(os.getpid(), signum)
        assert stop.asked == signum
        os.kill(os.getpid(), signum)


@pytest.fixture(scope="module")
def unfinished(spec, tmp_path_factory):
    """A run that was killed after its first phase; nobody resumes it."""
    folder, patch = tmp_path_factory.mktemp("unfinished") / "run", pytest.MonkeyPatch()
    patch.setattr(state, "keep_phases", dies(state.keep_phases, before=False))
    with pytest.raises(Killed):
        train(spec, folder)
    patch.undo()
    return folder


DIFFERENCES = [
    (
        {"phases.1.epochs": 7},
        {},
        r"recipe\.phases\.1\.epochs was \d, is 7; a run cannot go on with that: start a new one",
    ),
    ({"seed": 3}, {}, "recipe.seed was 0, is 3"),
    ({"data.limit": 60}, {}, "recipe.data.limit was 64, is 60.*start a new one"),
    ({"train.learning_rate_scale": 0.1}, {}, "learning_rate_scale was 1.0, is 0.1; --force goes on all the same"),
    ({}, {"keras": "4.0"}, r"versions\.keras was '4\.0', is '3.*--force goes on all the same"),
    ({}, {"train": "00"}, "data.train was '00', is"),
]


@pytest.mark.parametrize(("changes", "origin", "told"), DIFFERENCES)
def test_what_differs_is_named(spec, unfinished, changes, origin, told):
    path = unfinished / state.FOLDER / "run.json"
    before = path.read_text()
    table = json.loads(before)
    for part in ("versions", "data"):
        table[part] |= {key: value for key, value in origin.items() if key in table[part]}
    write_json(path, table)
    with pytest.raises(UserError, match=told):
        train(override(spec, **changes), unfinished, resume=True)
    path.write_text(before)


def test_what_does_not_matter_may_change(spec, unfinished, monkeypatch):
    monkeypatch.setattr("kerastl.run.fit", dies(None))
    for changes, force in (
        ({"export.formats": []}, False),
        ({"train.checkpoint_minutes": 1.0}, False),
        ({"train.learning_rate_scale": 0.1}, True),
    ):
        with pytest.raises(Killed):
            train(override(spec, **changes), unfinished, resume=True, force=force)


def test_a_key_that_is_newer_than_the_run_is_no_difference(spec, unfinished, monkeypatch):
    path = unfinished / state.FOLDER / "run.json"
    before = path.read_text()
    table = json.loads(before)
    del table["recipe"]["train"]["batch_size"], table["recipe"]["train"]["jit_compile"]
    write_json(path, table)
    with pytest.raises(UserError, match=r"recipe\.train\.batch_size was 64, is 16; a run cannot"):
        train(spec, unfinished, resume=True)
    path.write_text(before)


def test_an_unfinished_run_is_not_overwritten(spec, unfinished):
    with pytest.raises(
        UserError, match=r"holds a run already; name a new folder \(--out\), or go on with it \(--resume "
    ):
        train(spec, unfinished)


def test_two_processes_do_not_work_in_one_folder(spec, unfinished):
    with locked(unfinished), pytest.raises(KerastlError, match="another process is at work"):
        train(spec, unfinished, resume=True)


@pytest.mark.parametrize(
    "moment", ["before the move", "while it is deleted", "while it is deleted by an earlier kerastl"]
)
def test_killed_while_the_state_is_deleted_a_run_is_begun_or_finished(tmp_path, monkeypatch, moment):
    """Never neither: then another run would take its folder."""
    for name in ("metrics.json", "state/run.json", "state/phases.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    if moment == "while it is deleted by an earlier kerastl":
        (tmp_path / "state/run.json").unlink()
    else:
        where = (Path, "replace") if moment == "before the move" else (shutil, "rmtree")
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(*where, dies(lambda *_: None, before=True))
            state.forget(tmp_path)
    assert begun(tmp_path) != finished(tmp_path) and begun(tmp_path) == (moment == "before the move")
    with pytest.raises(UserError, match="holds a run already; name a new folder"):
        train("quickstart", tmp_path)
