"""Trackers, offline: what they were told is read back from their own files, and a run that is resumed is one run there too."""

import importlib.util
import json
import struct
import typing

import mlflow
import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from kerastl.errors import KerastlError, KerastlWarning, MissingExtra
from kerastl.preview import dry_run
from kerastl.run import train
from kerastl.schema import TrainSpec
from kerastl.train import trackers
from kerastl.train.state import FOLDER
from kerastl.train.trackers import KNOWN, TRACKERS, tracked

pytestmark = pytest.mark.usefixtures("step_by_step")

ROWS = [  # two phases; in the second, each group learns at a rate of its own
    {"phase": "head", "epoch": 1, "loss": 2.0, "accuracy": 0.25, "seconds": 1.0, "lr_head": 0.125},
    {"phase": "head", "epoch": 2, "loss": 1.5, "accuracy": 0.5, "val_loss": 1.75, "seconds": 1.0, "lr_head": 0.125},
    {"phase": "all", "epoch": 1, "loss": 1.0, "accuracy": 0.75, "seconds": 2.0, "lr_stem": 0.25, "lr_head": 0.5},
]
ENDED = {"test": {"accuracy": 0.75, "interval": (0.5, 0.875), "top5": None}, "seconds": 4.0}


@pytest.fixture
def mlflow_s(tmp_path, monkeypatch):
    """A store of MLflow's, and a function that reads what is in it: parameters, accuracy by epoch, last numbers, the rest."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")

    def read():
        client = mlflow.MlflowClient()
        [run] = client.search_runs(["0"])
        told = {
            key: [(it.step, it.value) for it in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        ended = {"status": run.info.status, "exports": run.data.tags["exports"].split(", ")}
        return run.data.params, told, run.data.metrics, ended

    yield read
    mlflow.set_tracking_uri(None)


@pytest.fixture
def wandb_s(tmp_path, monkeypatch):
    """The same of Weights & Biases: every stay offline leaves a file of its own, which `wandb sync` joins by the id of the run."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))

    def read():
        records = [it for file in sorted(tmp_path.glob("wandb/offline-run-*/*.wandb")) for it in records_of(file)]
        runs = [it.run for it in records if it.HasField("run")]
        assert len({run.run_id for run in runs}) == 1
        config = {it.key: json.loads(it.value_json) for run in runs for it in run.config.update}
        history = [
            {it.key or it.nested_key[0]: json.loads(it.value_json) for it in record.history.item} for record in records
        ]
        told = {}
        for row in filter(None, history):
            for key, value in row.items():
                told.setdefault(key.removeprefix("epoch/"), []).append((row["epoch/epoch"], value))
        summary = {
            it.key or it.nested_key[0]: json.loads(it.value_json) for record in records for it in record.summary.update
        }
        exits = [it.exit.exit_code for it in records if it.HasField("exit")]
        return config, told, summary, {"status": exits[-1], "exports": summary["exports"]}

    yield read
    wandb.teardown()


def records_of(file):
    """The records of a .wandb file: LevelDB's log format, in blocks of 32 KiB, behind seven bytes that name it."""
    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts, place = parts + data[place + 7 : place + 7 + length], place + 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


@pytest.mark.parametrize(("name", "ended_well"), [("mlflow", "FINISHED"), ("wandb", 0)])
def test_killed_and_resumed_it_is_one_run_with_each_epoch_once(name, ended_well, tiny, tmp_path, request):
    read, spec = request.getfixturevalue(f"{name}_s"), tiny(**{"train.trackers": [name]})
    (tmp_path / FOLDER).mkdir()
    with pytest.raises(ZeroDivisionError), tracked(spec, tmp_path) as followers:
        followers.epochs(ROWS[:1])
        followers.epochs(ROWS[:2])
        raise ZeroDivisionError
    first = json.loads((tmp_path / KNOWN).read_text())[name]
    with tracked(spec, tmp_path) as followers:
        followers.epochs(ROWS[:2])  # the state was behind: this epoch is trained again
        followers.epochs(ROWS)
        followers.finish(ENDED, ["model.keras", "saved_model"])
    assert json.loads((tmp_path / KNOWN).read_text())[name] == {"run": first["run"], "epochs": 3}
    parameters, told, numbers, ended = read()
    assert str(parameters["model.backbone"]) == "SmallCNN" and float(parameters["phases.0.optimizer.learning_rate"]) > 0
    assert told["loss"] == [(1, 2.0), (2, 1.5), (3, 1.0)] and told["accuracy"] == [(1, 0.25), (2, 0.5), (3, 0.75)]
    assert told["val_loss"] == [(2, 1.75)]
    assert told["lr_head"] == [(1, 0.125), (2, 0.125), (3, 0.5)] and told["lr_stem"] == [(3, 0.25)]
    assert numbers["test/accuracy"] == 0.75 and numbers["test/interval/1"] == 0.875 and "test/top5" not in numbers
    assert ended == {"status": ended_well, "exports": ["model.keras", "saved_model"]}


def test_each_row_can_be_asked_for_and_has_its_extra(pytestconfig):
    choices = typing.get_args(typing.get_args(typing.get_type_hints(TrainSpec)["trackers"])[0])
    extras = (pytestconfig.rootpath / "setup.cfg").read_text()
    assert set(choices) == set(TRACKERS) and all(f"\n{name} =\n    {name} >=" in extras for name in TRACKERS)


@pytest.mark.parametrize("asked", [dry_run, lambda spec: train(spec, "nowhere")])
def test_what_is_not_installed_is_told_before_anything_is_done(asked, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'train.trackers: wandb is not installed: pip install "kerastl\[wandb\]"'):
        asked(tiny(**{"train.trackers": ["wandb"]}))
    assert not list(tmp_path.iterdir())


def broken(*_):
    raise ConnectionError("nobody answers")


def test_a_tracker_that_cannot_begin_is_told_at_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(TRACKERS, "mlflow", trackers.Tracker(broken, broken, broken))
    with (
        pytest.raises(
            KerastlError, match=r"mlflow cannot follow this run \(ConnectionError: nobody answers\); expected it set up"
        ),
        tracked(tiny(**{"train.trackers": ["mlflow"]}), tmp_path),
    ):
        pass


def test_a_tracker_that_fails_later_costs_a_warning_and_not_the_run(tiny, tmp_path, monkeypatch):
    (tmp_path / FOLDER).mkdir()
    row = trackers.Tracker(lambda *_: ("id", "there", None), broken, broken)  # None has no on_epoch_end either
    monkeypatch.setitem(TRACKERS, "mlflow", row)
    with (
        pytest.warns(KerastlWarning, match="mlflow was not told .*; the run goes on") as told,
        tracked(tiny(**{"train.trackers": ["mlflow"]}), tmp_path) as followers,
    ):
        followers.epochs(ROWS[:1])
        followers.finish(ENDED, [])
    assert len(told) == 3, "of the epoch, of the end, of taking leave"
