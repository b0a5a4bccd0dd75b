"""What is told of work under way: to a person at a terminal, to one who reads it later, to a program, or to nobody.

    bar     a line that moves, on a terminal; what has ended stays as a line of its own, there and elsewhere
    lines   these lines alone
    json    one JSON object a line on the standard output, and no words
    quiet   nothing; results, warnings and errors are told all the same

A way of speaking holds for a `with` block and all that is called in it, so that no function hands it on.
"""

import contextlib
import contextvars
import datetime
import json
import math
import os
import sys
import time

import typer

from kerastl.errors import UserError
from kerastl.streams import write_or_lose
from kerastl.strict import suggest
from kerastl.text import printable

WAYS = ("bar", "lines", "json", "quiet")
REDRAWN = 0.1  # seconds between two looks of a bar
WIDTH = 10  # letters of the bar itself
_way = contextvars.ContextVar("way", default="bar")


@contextlib.contextmanager
def speaking(progress):
    """For the time of a `with` block, tell of work in another way.

    Args:
        progress: bar, lines, json or quiet; None leaves it as it is, which is bar where nothing was said.

    Returns:
        A context manager.

    Raises:
        UserError: another word.

    Example:
        >>> with speaking("json"):
        ...     tell("epoch", "epoch 1", accuracy=0.5)
        {"event": "epoch", "accuracy": 0.5}
    """
    if progress is not None and progress not in WAYS:
        raise UserError(f"progress: found {progress!r}; {suggest(progress, WAYS)}")
    before = _way.set(progress or _way.get())
    try:
        yield
    finally:
        _way.reset(before)


def to_people():
    """Whether words are read by a person, not events by a program."""
    return _way.get() != "json"


def tell(event, words="", /, **facts):
    """Say what has happened: its words to a person, its facts to a program.

    Args:
        event: its name in JSON.
        words: a line for the error output; none where a person is not told of it.
        facts: plain values; numbers that JSON has not (NaN, infinity) become null.
    """
    if not to_people():
        line = json.dumps({"event": event, **_plain(facts)}, default=str)
        write_or_lose("stdout", lambda: print(line, flush=True))
    elif words and _way.get() != "quiet":
        write_or_lose("stderr", lambda: _console().print(printable(words, lines=True), soft_wrap=True))


def say(text, err=False):
    """Print a result, or on the error output a warning or an error; names of strangers in it cannot act on the terminal."""
    typer.echo(printable(text, lines=True), err=err)


def clock(seconds):
    """Seconds as a person reads them: 0:03:20; unknown ones as -:--:--."""
    return "-:--:--" if seconds is None else str(datetime.timedelta(seconds=round(seconds)))


def draws():
    """Whether a line may move: on a terminal that can, and if nothing else was asked for."""
    return _way.get() == "bar" and on_terminal()


def on_terminal():
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Bar:
    """A line with a name, a bar, steps, the time that remains and what else there is to say; nothing where nothing draws."""

    def __init__(self):
        self.progress = None

    def open(self, title, steps):
        self.close()
        if not draws():
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        named, now = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[now]}"))
        columns, console = (named, BarColumn(WIDTH), MofNCompleteColumn(), now), _console()
        title = printable(title)
        self.progress = Progress(*columns, console=console, transient=True, auto_refresh=False)
        self.room = console.width - len(title) - WIDTH - len(f" {steps}/{steps}   ")
        self._draw(self.progress.start)
        self.task = self.progress.add_task(title, total=steps, now="")
        self.steps, self.done, self.began, self.drawn = steps, 0, time.perf_counter(), -math.inf

    def advance(self, steps=1, words=None):
        """Go on by some steps, and look at most ten times a second.

        Args:
            steps: how many.
            words: a function that gives what stands behind the bar, the most wanted first, with two spaces between: a narrow
                terminal cuts the rest. Without one it is the time that remains of these steps.
        """
        if self.progress is None:
            return
        self.done, now = self.done + steps, time.perf_counter()
        if now - self.drawn < REDRAWN and self.done != self.steps:
            return
        left = None if self.steps is None else (self.steps - self.done) * (now - self.began) / self.done
        told = words() if words else f"{clock(left)} left"
        while len(told) > self.room and told:
            told = told.rpartition("  ")[0]
        self._draw(lambda: self.progress.update(self.task, completed=self.done, now=printable(told), refresh=True))
        self.drawn = now

    def expect(self, steps):
        """So many in all, where it was not known when the bar was opened."""
        if self.progress:
            self.steps = steps
            self.progress.update(self.task, total=steps)

    def close(self):
        """Give the terminal back; also where the work ended half-way."""
        if self.progress:
            self._draw(self.progress.stop)
            self.progress = None

    def _draw(self, draw):
        """A terminal that is gone takes no more of it, and ends no work."""
        write_or_lose("stderr", draw)


def _console():
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, force_terminal=on_terminal())


def _plain(value):
    """Without the numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
