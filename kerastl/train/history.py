"""history.csv: a row for every epoch of every phase."""

import csv
import time

import keras

from kerastl.files import whole
from kerastl.run_folder import read_history as read_history
from kerastl.train.optimizers import rates_now

COLUMNS = ("phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")


class HistoryRows(keras.callbacks.Callback):
    """Adds a row for each epoch and rewrites the file, whole or not at all.

    Args:
        path: of history.csv.
        rows: those of earlier phases; grown in place.
        phase: its name.
        optimizers: the optimizer of each group that learns.
        groups: names of all groups, for the learning rate columns.
        seen_by: functions that are called with all rows so far once they are written; what they raise ends the training.

    Attributes:
        training_seconds, training_steps: so far, in this and earlier processes; validation apart.
    """

    def __init__(self, path, rows, phase, optimizers, groups, seen_by=()):
        super().__init__()
        self.path, self.rows, self.phase, self.optimizers, self.groups = path, rows, phase, optimizers, groups
        self.seen_by = seen_by
        self.training_seconds, self.training_steps = 0.0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.last_step, self.steps = time.perf_counter(), batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.training_seconds += self.last_step - self.began
        self.training_steps += self.steps
        rates = {f"lr_{group}": rate for group, rate in rates_now(self.optimizers).items()}
        row = {"phase": self.phase, "epoch": epoch + 1, **{name: logs[name] for name in COLUMNS if name in logs}}
        row |= {"seconds": round(time.perf_counter() - self.began, 3), **rates}
        self.rows.append(row)
        write_csv(self.path, self.rows, columns_of(self.groups))
        for see in self.seen_by:
            see(self.rows)


def columns_of(groups):
    """The columns of history.csv, for these groups of layers."""
    return (*COLUMNS, *(f"lr_{group}" for group in groups))


def write_csv(path, rows, columns):
    """Write a table, whole or not at all."""
    with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def spans(rows):
    """Which rows of history.csv belong to which phase, in order: its name, the place of its first row, and of the first after it.

    Example:
        >>> spans([{"phase": "head"}, {"phase": "head"}, {"phase": "all"}])
        [('head', 0, 2), ('all', 2, 3)]
    """
    starts = [place for place in range(len(rows)) if not place or rows[place]["phase"] != rows[place - 1]["phase"]]
    return [(rows[start]["phase"], start, end) for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]
