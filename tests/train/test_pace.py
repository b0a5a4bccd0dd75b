"""The time that remains: closed forms for what is measured, the arithmetic of the plan for what is to come."""

import pytest

from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train.frontier import arithmetic
from kerastl.train.pace import CALL, Pace, Stretch
from kerastl.train.plan import plan


@pytest.fixture(scope="module")
def planned(tiny):
    """Head first, on cached features, then everything: 2 epochs of 2 steps each, a validation after each."""
    recipe = tiny("cifar10-freeze-first", **{"train.epochs_scale": 1.0, "phases.0.epochs": 2, "phases.1.epochs": 2})
    model = build_model(recipe.model, (32, 32, 3), 10)
    return plan(model, layer_groups(model, "SmallCNN"), recipe, (48, 16)), model, recipe, (48, 16)


def test_a_stretch_is_measured_without_its_first_steps():
    it = Stretch(10, 1.0)
    it.did(1, 30.0)
    assert (it.each, it.steps) == (30.0, 9)
    it.did(4, 8.0)
    it.did(1, 2.0)
    assert (it.each, it.steps) == (2.0, 4)
    it.did(9, 18.0)
    assert it.steps == 0, "a pass may have more steps than were foreseen"


def test_nothing_is_known_before_the_first_step(planned):
    pace = Pace(*planned)
    pace.begin(0)
    assert pace.left is None


def test_the_work_of_a_step_is_that_of_the_layers_it_runs(planned):
    head, everything = Pace(*planned).phases
    plans, model = planned[:2]
    trunk = arithmetic(layer for layer in model.layers if layer.name in plans[0].frontier.trunk)
    whole = arithmetic(model.layers)
    assert trunk > 0.9 * whole and plans[0].frontier.cached and not plans[1].frontier.cached
    assert (
        head["features"].work == CALL + 128 * trunk and head["features"].steps == 2
    )  # one pass each, train and validation
    assert head["training"].work == CALL + 3 * 24 * (whole - trunk)
    assert everything["training"].work == CALL + 3 * 24 * whole and everything["features"].steps == 0
    assert everything["validation"].work == CALL + 16 * whole and everything["validation"].steps == 2


def test_what_remains_shrinks_by_what_was_done_and_ends_at_nothing(planned):
    """Every step takes as long as its work: then what is left is known from the first step on, and exactly."""
    pace, second = Pace(*planned), 1e-9
    total = second * sum(it.steps * it.work for phase in pace.phases for it in phase.values())
    spent, left = 0.0, []

    def do(kind):
        nonlocal spent
        seconds = second * pace.now[kind].work
        pace.did(kind, 1, seconds)
        spent += seconds
        left.append(pace.left)
        assert pace.left == pytest.approx(total - spent)

    for number, phase in enumerate(pace.phases):
        pace.begin(number)
        for _ in range(phase["features"].steps):
            do("features")
        for epochs in (2, 1):
            pace.go_on(epochs, 2 * epochs)
            for kind in ("training", "training", "validation"):
                do(kind)
    assert left == sorted(left, reverse=True) and left[-1] == pytest.approx(0, abs=1e-12)


def test_features_that_are_there_and_phases_that_ended_early_take_no_time(planned):
    pace = Pace(*planned)
    pace.begin(0)
    pace.did("features", 1, 5.0)
    known = pace.left
    pace.go_on(2, 4)
    assert pace.left < known
    pace.begin(1)
    assert all(it.steps == 0 for it in pace.phases[0].values())
