"""Progress: a line an epoch everywhere, a bar on a terminal, and the terminal given back."""

import numpy as np
import pytest
from rich.console import Console

from kerastl.data.images import Images
from kerastl.evaluate.metrics import predict_probabilities
from kerastl.train import progress
from kerastl.train.progress import PhaseProgress


def run_an_epoch(it):
    it.set_params({"epochs": 3, "steps": 2})
    it.on_epoch_begin(1)
    for step in range(2):
        it.on_train_batch_end(step, {"loss": 1.5, "accuracy": 0.25})
    it.on_epoch_end(1, {"loss": 1.25, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.75})


def test_a_line_an_epoch_and_nothing_else_without_a_terminal(capsys):
    run_an_epoch(PhaseProgress("fine-tune", 1, 2))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(
        "fine-tune (1/2) epoch 2/3  loss 1.2500  accuracy 0.5000  val_loss 1.0000  val_accuracy 0.7500  "
    )
    assert told.err.count("\n") == 1


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "Console", lambda **options: Console(**options, force_terminal=True, width=120))


def test_a_bar_with_the_phase_s_name_on_a_terminal(terminal, capsys):
    run_an_epoch(PhaseProgress("fine-tune", 1, 2))
    told = capsys.readouterr().err
    assert "2/2" in told and "loss 1.5000" in told
    assert told.rstrip().endswith(" s"), "the bar goes, the line stays"


def test_a_prediction_has_its_bar_and_gives_the_cursor_back(terminal, capsys, tiny):
    from kerastl.model.graph import build_model

    images = Images(np.zeros((10, 32, 32, 3), np.uint8), np.zeros(10, int))
    predict_probabilities(build_model(tiny().model, (32, 32, 3), 3), images, batch_size=4, title="judge on test")
    told = capsys.readouterr().err
    assert "judge on test" in told and "3/3" in told
    assert told.rindex("\x1b[?25h") > told.rindex("\x1b[?25l"), "the cursor is shown again"
