"""What is told of a training: how far it is, how fast it goes, how good it is so far, and how long it will still take."""

import contextlib
import contextvars
import time

import keras

from kerastl.voice import Bar, clock, tell

SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")
# Seconds at least between the lines of two epochs; the first and the last one of a phase have a line in any case.
EVERY = 5.0
_pace = contextvars.ContextVar("pace", default=None)  # of the run at work, for passes that know nothing of it


@contextlib.contextmanager
def paced(pace):
    """For the time of a `with` block, let passes over images count as part of a run.

    Args:
        pace: a `Pace`.
    """
    before = _pace.set(pace)
    try:
        yield
    finally:
        _pace.reset(before)


class PhaseProgress(keras.callbacks.Callback):
    """A bar for the steps of an epoch; for each finished epoch a line, or the row of history.csv.

    Args:
        work: the `Work` of the run.
        number: of the phase, from 0.
        recorder: the `HistoryRows` that stands before it.
    """

    def __init__(self, work, number, recorder):
        super().__init__()
        self.work, self.plan, self.pace, self.images = work, work.plans[number], work.pace, work.images(number)
        self.number, self.recorder, self.bar = number, recorder, Bar()
        self.label = f"{self.plan.phase.name} ({number + 1}/{len(work.plans)})"
        self.next_line = 0.0  # by `time.monotonic`

    def on_epoch_begin(self, epoch, logs=None):
        steps, left = self.params["steps"], self.plan.epochs - epoch
        self.pace.go_on(left, steps + (left - 1) * self.plan.steps_per_epoch)
        self.title = f"{self.label} epoch {epoch + 1}/{self.plan.epochs}"
        self.bar.open(self.title, steps)
        self.done, self.last = 0, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        steps, now = batch + 1 - self.done, time.perf_counter()  # one call may have run many steps
        self.pace.did("training", steps, now - self.last)
        self.done, self.last = batch + 1, now
        self.bar.advance(steps, lambda: self._words(logs))

    def on_test_begin(self, logs=None):
        self.validated = time.perf_counter()

    def on_test_end(self, logs=None):
        self.pace.did("validation", 1, time.perf_counter() - self.validated)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        title = ""
        if time.monotonic() >= self.next_line or epoch + 1 == self.plan.epochs:
            title, self.next_line = self.title, time.monotonic() + EVERY
        tell_epoch(self.work, self.number, self.recorder.rows, title, self._rate())

    def _words(self, logs):
        """What stands behind the bar, the most wanted first."""
        highest = best(self.recorder.rows)
        told = [f"{clock(self.pace.left)} left", f"{self._rate():,.0f} images/s", _numbers(logs)]
        return "  ".join(told + ([f"best {highest:.4f}"] if highest is not None else []))

    def _rate(self):
        return self.images / self.pace.now["training"].each


def tell_epoch(work, number, rows, title, rate=None):
    """A line, or the row of history.csv, for what has just ended.

    Args:
        work: the `Work` of the run.
        number: of the phase, from 0.
        rows: of history.csv.
        title: what stands first; empty: no line, but the row to a program.
        rate: images per second; None where there were no steps.
    """
    row, highest, left = rows[-1], best(rows), work.pace.left
    speed = "" if rate is None else f"  {rate:,.0f} images/s"
    tell(
        "epoch",
        title and f"{title}  {_numbers(row, highest)}{speed}  {row['seconds']:.1f} s, {clock(left)} left",
        run=str(work.run_dir),
        **row,
        **{"number": number + 1, "of": len(work.plans), "epochs": work.plans[number].epochs},
        **{
            "best": highest,
            "images_per_second": rate and round(rate, 1),
            "seconds_left": None if left is None else round(left, 1),
        },
    )


class PassProgress:
    """A bar for one pass over images, part of the run at work, and a line at its end.

    Args:
        title: what is computed.
        steps: how many.
    """

    def __init__(self, title, steps):
        self.title, self.steps, self.bar, self.pace = title, steps, Bar(), _pace.get()
        self.bar.open(title, steps)
        self.began = self.last = time.perf_counter()

    def advance(self):
        now = time.perf_counter()
        if self.pace:
            self.pace.did("features", 1, now - self.last)
        self.last = now
        self.bar.advance(1, self.pace and (lambda: f"{clock(self.pace.left)} left"))

    def ended(self):
        seconds = time.perf_counter() - self.began
        tell("features", f"{self.title}  {seconds:.1f} s", what=self.title, seconds=round(seconds, 3))


class PredictProgress(keras.callbacks.Callback):
    """A bar for the steps of a prediction.

    Args:
        title: what is predicted.
        steps: how many.
    """

    def __init__(self, title, steps):
        super().__init__()
        self.title, self.steps, self.bar = title, steps, Bar()

    def on_predict_begin(self, logs=None):
        self.bar.open(self.title, self.steps)

    def on_predict_batch_end(self, batch, logs=None):
        self.bar.advance()


def best(rows):
    """The highest validation accuracy of the run so far, or None."""
    return max((row["val_accuracy"] for row in rows if row.get("val_accuracy") is not None), default=None)


def _numbers(logs, highest=None):
    told = [f"{name} {logs[name]:.4f}" for name in SHOWN if logs and logs.get(name) is not None]
    if highest is None:
        return "  ".join(told)
    return "  ".join(told) + (" (best)" if logs["val_accuracy"] == highest else f" (best {highest:.4f})")
