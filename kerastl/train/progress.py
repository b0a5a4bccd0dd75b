"""What a person sees while a phase runs: a bar with the phase's name, then one line an epoch."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SHOWN = ("loss", "accuracy", "val_loss", "val_accuracy")


class PhaseProgress(keras.callbacks.Callback):
    """A bar for the steps of an epoch where the output is a terminal; a line for each finished epoch everywhere.

    Args:
        phase: its name.
        number, of: which phase this is, and of how many.
    """

    def __init__(self, phase, number, of):
        super().__init__()
        self.label = f"{phase} ({number}/{of})"
        self.console = Console(stderr=True, highlight=False)
        self.bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()
        self.title = f"{self.label} epoch {epoch + 1}/{self.params['epochs']}"
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[now]}"),
        )
        self.bar = Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.params["steps"], now="")

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update(self.task, advance=1, now=_numbers(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.bar.stop()
        self.console.print(f"{self.title}  {_numbers(logs)}  {time.perf_counter() - self.began:.1f} s", soft_wrap=True)

    def close(self):
        """Give the terminal back; also where training ended half-way through an epoch."""
        if self.bar:
            self.bar.stop()


def _numbers(logs):
    return "  ".join(f"{name} {logs[name]:.4f}" for name in SHOWN if name in (logs or {}))
