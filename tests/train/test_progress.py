"""Progress: a line an epoch everywhere, a bar on a terminal, one JSON object for a program, and the terminal given back."""

import json
from types import SimpleNamespace

import pytest

from kerastl import voice
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train import progress
from kerastl.train.pace import Pace
from kerastl.train.plan import plan
from kerastl.train.progress import PassProgress, PhaseProgress, paced
from kerastl.voice import speaking

ROWS = [
    {"loss": 1.25, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.75, "seconds": 2.0, "lr_head": 0.1},
    {"loss": 1.0, "accuracy": 0.6, "val_loss": 1.5, "val_accuracy": 0.5, "seconds": 2.0, "lr_head": 0.1},
]


@pytest.fixture
def work(planned, tmp_path):
    return SimpleNamespace(plans=planned[0], pace=Pace(*planned), run_dir=tmp_path, images=lambda number: 24)


@pytest.fixture(scope="module")
def planned(tiny):
    recipe = tiny("cifar10-freeze-first", **{"train.epochs_scale": 1.0, "phases.1.epochs": 2})
    model = build_model(recipe.model, (32, 32, 3), 10)
    plans = plan(model, layer_groups(model, "SmallCNN"), recipe, (48, 16))
    return plans, model, recipe, (48, 16)


def run_two_epochs(work, seconds, monkeypatch):
    """The second phase, a step in so many seconds; every second one is a call of two steps."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    work.pace.begin(1)
    recorder = SimpleNamespace(rows=[])
    it = PhaseProgress(work, 1, recorder)
    it.set_params({"epochs": 2, "steps": 2})
    for epoch, row in enumerate(ROWS):
        it.on_epoch_begin(epoch)
        for step in range(2):
            now[0] += seconds
            it.on_train_batch_end(step, {"loss": 1.5, "accuracy": 0.25})
        it.on_test_begin()
        it.on_test_end({})
        recorder.rows.append({"phase": "fine-tune", "epoch": epoch + 1, **row})
        it.on_epoch_end(epoch, row)


LINES = [
    "fine-tune (2/2) epoch 1/2  loss 1.2500  accuracy 0.5000  val_loss 1.0000  val_accuracy 0.7500 (best)  "
    "48 images/s  2.0 s, 0:00:01 left",
    "fine-tune (2/2) epoch 2/2  loss 1.0000  accuracy 0.6000  val_loss 1.5000  val_accuracy 0.5000 (best 0.7500)  "
    "48 images/s  2.0 s, 0:00:00 left",
]


@pytest.mark.parametrize("way", ["bar", "lines"])
def test_a_line_an_epoch_and_nothing_else_without_a_terminal(work, way, monkeypatch, capsys):
    with speaking(way):
        run_two_epochs(work, 0.5, monkeypatch)
    assert tuple(capsys.readouterr()) == ("", "".join(f"{line}\n" for line in LINES))


def test_quiet_says_nothing(work, monkeypatch, capsys):
    with speaking("quiet"):
        run_two_epochs(work, 0.5, monkeypatch)
    assert tuple(capsys.readouterr()) == ("", "")


def test_a_program_gets_the_row_of_the_history(work, monkeypatch, capsys):
    with speaking("json"):
        run_two_epochs(work, 0.5, monkeypatch)
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert err == "" and second.items() >= ROWS[1].items()
    assert first == {
        "event": "epoch",
        "run": str(work.run_dir),
        "phase": "fine-tune",
        "epoch": 1,
        **ROWS[0],
        "number": 2,
        "of": 2,
        "epochs": 2,
        "best": 0.75,
        "images_per_second": 48.0,
        "seconds_left": 1.0,
    }


@pytest.mark.parametrize("width", [80, 160])
def test_one_line_moves_on_a_terminal_however_narrow(work, width, monkeypatch, capsys):
    monkeypatch.setattr(voice, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    run_two_epochs(work, 0.5, monkeypatch)
    told = capsys.readouterr().err
    assert "2/2" in told and "0:00:01 left  48 images/s" in told and (width < 100 or "best 0.7500" in told)
    assert told.count("\x1b[1A") == 2, "back over one line where a bar is closed; it never takes a second one"
    assert all(line in told for line in LINES), "the bar goes, the lines stay"


def test_a_pass_over_images_is_part_of_the_run(work, capsys):
    work.pace.begin(0)
    with paced(work.pace):
        it = PassProgress("features of train", 1)
        it.advance()
        it.ended()
    assert work.pace.now["features"].steps == 1 and work.pace.left > 0
    assert capsys.readouterr().err.startswith("features of train  0.")
