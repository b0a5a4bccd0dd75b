"""What a person sees during long work: a bar with its name where the output is a terminal, and one line an epoch."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")


class Bar:
    """A line with a name, a bar, steps, the time that remains and the latest numbers; nothing where there is no terminal."""

    def __init__(self):
        self.console = Console(stderr=True, highlight=False)
        self.progress = None

    def open(self, title, steps):
        self.close()
        now = TextColumn("{task.fields[now]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), now)
        self.progress = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.progress.start()
        self.task = self.progress.add_task(title, total=steps, now="")

    def advance(self, steps=1, now=""):
        self.progress.update(self.task, advance=steps, now=now)

    def expect(self, steps):
        """So many in all, where it was not known when the bar was opened."""
        self.progress.update(self.task, total=steps)

    def close(self):
        """Give the terminal back; also where the work ended half-way."""
        if self.progress:
            self.progress.stop()


class PhaseProgress(keras.callbacks.Callback):
    """A bar for the steps of an epoch; a line for each finished epoch, on a terminal or not.

    Args:
        phase: its name.
        number, of: which phase this is, and of how many.
    """

    def __init__(self, phase, number, of):
        super().__init__()
        self.label, self.bar = f"{phase} ({number}/{of})", Bar()

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()
        self.title = f"{self.label} epoch {epoch + 1}/{self.params['epochs']}"
        self.bar.open(self.title, self.params["steps"])
        self.done = 0

    def on_train_batch_end(self, batch, logs=None):
        self.bar.advance(batch + 1 - self.done, _numbers(logs))  # one call may have run many steps
        self.done = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        seconds = time.perf_counter() - self.began
        self.bar.console.print(f"{self.title}  {_numbers(logs)}  {seconds:.1f} s", soft_wrap=True)


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


def _numbers(logs):
    return "  ".join(f"{name} {logs[name]:.4f}" for name in SHOWN if name in (logs or {}))
