"""Schedules of phases of any length: never below zero, never above the rate, and where they should be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import tables

from kerastl.schema import ScheduleSpec
from kerastl.train.schedules import make_schedule

SPECS = tables(ScheduleSpec)
RATES = st.floats(1e-8, 10)
SHORT, LONG = st.integers(1, 5), st.integers(1, 2000)
CLOSE = 1 + 1e-5  # float32


def spec_of(table, *names):
    return ScheduleSpec(**{**table, "name": table["name"] if table.get("name") in names else names[0]})


def rates(spec, rate, epochs, steps, at=None):
    """What the steps of a phase learn at: all of them, or some."""
    schedule = make_schedule(spec, rate, epochs, steps)
    return [float(schedule(step)) if callable(schedule) else schedule for step in at or range(epochs * steps)]


@given(SPECS, RATES, SHORT, SHORT)
def test_every_step_of_a_short_phase(table, rate, epochs, steps):
    """It reaches the rate and never leaves 0 to the rate; it climbs to there at most once, and then falls."""
    learned = rates(ScheduleSpec(**table), rate, epochs, steps)
    assert max(learned) == pytest.approx(rate, rel=1e-5)
    assert min(learned) >= 0
    top = learned.index(max(learned))
    assert learned[: top + 1] == sorted(learned[: top + 1])
    assert all(later <= earlier * CLOSE for earlier, later in zip(learned[top:], learned[top + 1 :], strict=False))


@given(SPECS, RATES, LONG, LONG, st.lists(st.floats(0, 1), max_size=6))
def test_some_steps_of_a_long_phase(table, rate, epochs, steps, shares):
    total = epochs * steps
    some = sorted({0, total // 2, total - 1, *(int(share * (total - 1)) for share in shares)})
    assert all(0 <= one <= rate * CLOSE for one in rates(ScheduleSpec(**table), rate, epochs, steps, some))


@given(st.sampled_from([("cosine", 0.0), ("one-cycle", 1e-4 / 25)]), st.floats(0, 0.99), RATES, LONG, LONG)
def test_where_they_end(kind, warmup, rate, epochs, steps):
    name, end = kind
    (last,) = rates(ScheduleSpec(name, warmup=warmup), rate, epochs, steps, [epochs * steps])
    assert last == pytest.approx(rate * end, abs=rate * 1e-6)


@given(st.integers(1, 8) | st.sampled_from([0.5, 0.25, 2.5]), st.floats(0.1, 0.9), RATES, st.integers(1, 40), SHORT)
def test_an_epoch_begins_with_the_drops_before_it(every, factor, rate, epochs, steps):
    steps *= 4  # a quarter of an epoch is a whole step
    learned = rates(
        ScheduleSpec("step", every=every, factor=factor), rate, epochs, steps, [n * steps for n in range(epochs)]
    )
    for epoch, one in enumerate(learned):
        assert one == pytest.approx(rate * factor ** (epoch // every), rel=1e-3, abs=1e-30), epoch


@given(RATES, LONG, LONG)
def test_constant(rate, epochs, steps):
    assert rates(ScheduleSpec(), rate, epochs, steps, [0, epochs * steps - 1]) == [rate, rate]
