"""The voice: what stands where in each way of speaking, and what a bar costs."""

import math
import time

import pytest

from kerastl import voice
from kerastl.errors import UserError
from kerastl.voice import WAYS, Bar, clock, speaking, tell, to_people

# The way of speaking, whether on a terminal -> (standard output, error output)
TOLD = {
    ("bar", False): ("", "epoch 1 of [head]  80%\n"),
    ("bar", True): ("", "epoch 1 of [head]  80%\n"),
    ("lines", False): ("", "epoch 1 of [head]  80%\n"),
    ("lines", True): ("", "epoch 1 of [head]  80%\n"),
    ("json", False): ('{"event": "epoch", "accuracy": 0.8, "loss": null, "rates": {"head": [null, 1]}}\n', ""),
    ("json", True): ('{"event": "epoch", "accuracy": 0.8, "loss": null, "rates": {"head": [null, 1]}}\n', ""),
    ("quiet", False): ("", ""),
    ("quiet", True): ("", ""),
}


@pytest.mark.parametrize(("way", "terminal"), TOLD)
def test_words_for_people_and_facts_for_programs(way, terminal, monkeypatch, capsys):
    monkeypatch.setattr(voice, "on_terminal", lambda: terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in CI: colours are asked for, and yet it is no terminal
    with speaking(way):
        tell("epoch", "epoch 1 of [head]  80%", accuracy=0.8, loss=math.nan, rates={"head": (math.inf, 1)})
    assert tuple(capsys.readouterr()) == TOLD[way, terminal]


@pytest.mark.parametrize(("way", "terminal"), [(way, terminal) for way in WAYS for terminal in (True, False)])
def test_a_line_moves_on_a_terminal_alone(way, terminal, monkeypatch, capsys):
    monkeypatch.setattr(voice, "on_terminal", lambda: terminal)
    bar = Bar()
    with speaking(way):
        bar.open("judge on [test]", 3)
        for _ in range(3):
            bar.advance()
        bar.close()
    out, err = capsys.readouterr()
    assert out == ""
    if way == "bar" and terminal:
        assert "judge on [test]" in err and "3/3" in err and "0:00:00 left" in err
        assert err.rindex("\x1b[?25h") > err.rindex("\x1b[?25l"), "the cursor is shown again"
    else:
        assert err == ""


def test_what_is_said_in_a_block_holds_in_the_block():
    with speaking("json"):
        assert not to_people()
        with speaking(None):
            assert not to_people()
        with pytest.raises(ZeroDivisionError), speaking("quiet"):
            assert to_people()
            raise ZeroDivisionError
        assert not to_people()
    assert to_people()


def test_another_way_is_refused():
    with pytest.raises(UserError, match="progress: found 'line'; did you mean 'lines'"), speaking("line"):
        pass


def test_a_bar_looks_at_most_ten_times_a_second(monkeypatch, capsys):
    """However many steps there are, words are made and drawn for few of them."""
    monkeypatch.setattr(voice, "on_terminal", lambda: True)
    now, looks = [0.0], []
    monkeypatch.setattr(voice.time, "perf_counter", lambda: now[0])
    bar = Bar()
    bar.open("steps", 5000)
    for _ in range(5000):
        now[0] += 0.001
        bar.advance(1, lambda: looks.append(now[0]) or "")
    bar.close()
    assert 45 <= len(looks) <= 52


def test_a_step_costs_next_to_nothing():
    bar = Bar()
    bar.open("steps", 10**6)
    began = time.process_time()
    for _ in range(10_000):
        bar.advance(1, str)
    assert time.process_time() - began < 0.1, "10 microseconds for each, at the most"
    bar.close()


def test_clock():
    assert [clock(seconds) for seconds in (None, 0.2, 59.6, 3661, 90_000)] == [
        "-:--:--",
        "0:00:00",
        "0:01:00",
        "1:01:01",
        "1 day, 1:00:00",
    ]
