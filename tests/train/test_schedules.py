"""Schedules against their closed forms."""

import math

import pytest

from kerastl.schema import ScheduleSpec
from kerastl.train.schedules import make_schedule

EPOCHS, STEPS, RATE = 20, 5, 0.1
TOTAL = EPOCHS * STEPS


def cosine(step, climb, start, end):
    if step < climb:
        return start + (RATE - start) * step / climb
    share = (step - climb) / (TOTAL - climb)
    return RATE * (end + (1 - end) * 0.5 * (1 + math.cos(math.pi * share)))


CLOSED_FORMS = [
    (ScheduleSpec("step", every=10, factor=0.1), lambda s: RATE * 0.1 ** (s // 50)),
    (
        ScheduleSpec("step", every=2.5, factor=0.5),
        lambda s: RATE * 0.5 ** (s // 12.5),
    ),
    (ScheduleSpec("cosine"), lambda s: cosine(s, 0, 0, 0)),
    (ScheduleSpec("cosine", warmup=0.1), lambda s: cosine(s, 10, 0, 0)),
    (ScheduleSpec("one-cycle"), lambda s: cosine(s, 30, RATE / 25, 1e-4 / 25)),
    (ScheduleSpec("one-cycle", warmup=0.5), lambda s: cosine(s, 50, RATE / 25, 1e-4 / 25)),
]


@pytest.mark.parametrize(("spec", "expected"), CLOSED_FORMS)
def test_closed_forms(spec, expected):
    schedule = make_schedule(spec, RATE, EPOCHS, STEPS)
    for step in range(0, TOTAL + 1, 5):
        assert float(schedule(step)) == pytest.approx(expected(step), rel=1e-4, abs=1e-9), step


def test_constant_is_a_number():
    assert make_schedule(ScheduleSpec(), RATE, EPOCHS, STEPS) == RATE


def test_a_phase_shorter_than_the_first_drop_is_constant():
    schedule = make_schedule(ScheduleSpec("step", every=10), RATE, 10, STEPS)
    assert [float(schedule(step)) for step in (0, 49)] == pytest.approx([RATE, RATE])


def test_drops_go_on_to_the_end_of_the_phase():
    """Twice an epoch: there are more drops than epochs."""
    schedule = make_schedule(ScheduleSpec("step", every=0.5, factor=0.5), RATE, EPOCHS, 4)
    assert [float(schedule(step)) / RATE for step in (1, 2, 42, 79)] == pytest.approx([1, 0.5, 0.5**21, 0.5**39])


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_a_warmup_ends_before_the_phase_does(name):
    schedule = make_schedule(ScheduleSpec(name, warmup=0.9), RATE, 1, 3)
    assert float(schedule(2)) == pytest.approx(RATE)


def test_a_phase_of_one_step_has_no_warmup_to_divide_by():
    assert float(make_schedule(ScheduleSpec("one-cycle"), RATE, 1, 1)(0)) == pytest.approx(RATE)
