"""Trackers: services that follow a run, through their own Keras callbacks, where the recipe names them (`train.trackers`).

Each is set up as its own documentation says (MLFLOW_TRACKING_URI, WANDB_MODE, `wandb login`, ...); kerastl adds one run to it. Epochs are
counted over all phases. Which run that is, and what it has been told, is kept beside the state: a run that is resumed goes
on in the same one, and no epoch is told twice.
"""

import contextlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

from kerastl.errors import KerastlError, KerastlWarning, MissingExtra, brief
from kerastl.files import write_json
from kerastl.run_files import read_json
from kerastl.shapes import COUNT, Names
from kerastl.strict import dump, flat
from kerastl.train.state import FOLDER
from kerastl.voice import tell

KNOWN = FOLDER / "trackers.json"
OF_KNOWN = Names({"run": str, "epochs": COUNT})


@dataclass(frozen=True)
class Tracker:
    """One row; its package and its extra have its name.

    Args:
        begin: from a run's name, its parameters and the id of the tracker's run that it goes on with, or None, to the id, where
            it can be seen, and the tracker's Keras callback.
        finish: from {"test/accuracy": ..., ...} and the names of the exports, once the run has ended.
        leave: with whether the run has ended: what was told is on its way, and nobody waits any more.
    """

    begin: Callable
    finish: Callable
    leave: Callable


def _begin_mlflow(name, parameters, known):
    import mlflow
    from mlflow.keras import MlflowCallback

    run = mlflow.start_run(run_id=known, run_name=name, nested=mlflow.active_run() is not None)
    if known is None:
        mlflow.log_params(parameters)
    return run.info.run_id, mlflow.get_tracking_uri(), MlflowCallback()


def _finish_mlflow(numbers, exports):
    import mlflow

    mlflow.log_metrics(numbers)
    mlflow.set_tag("exports", ", ".join(exports))


def _leave_mlflow(ended):
    import mlflow

    mlflow.flush_async_logging()
    mlflow.end_run("FINISHED" if ended else "FAILED")


def _begin_wandb(name, parameters, known):
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    settings = wandb.Settings(silent=True, console="off")  # what is to be said, kerastl says
    project = os.environ.get("WANDB_PROJECT", "kerastl")
    run = wandb.init(
        project=project, name=name, id=known, resume="allow" if known else None, config=parameters, settings=settings
    )
    return run.id, run.settings.sync_dir if run.offline else run.url, WandbMetricsLogger()


def _finish_wandb(numbers, exports):
    import wandb

    wandb.run.summary.update({**numbers, "exports": list(exports)})


def _leave_wandb(ended):
    import wandb

    wandb.finish(exit_code=0 if ended else 1)


TRACKERS = {
    "mlflow": Tracker(_begin_mlflow, _finish_mlflow, _leave_mlflow),
    "wandb": Tracker(_begin_wandb, _finish_wandb, _leave_wandb),
}


def check_trackers(recipe):
    """Refuse a recipe whose trackers are not installed, before anything is computed.

    Raises:
        MissingExtra: naming it.
    """
    for name in recipe.train.trackers:
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(
                f'train.trackers: {name} is not installed: pip install "kerastl[{name}]", or leave it out of the recipe'
            )


@contextlib.contextmanager
def tracked(recipe, run_dir):
    """For the time of a `with` block, let the trackers of a recipe follow its run.

    Args:
        recipe: a `Recipe`.
        run_dir: folder of the run.

    Yields:
        `Followers`.

    Raises:
        KerastlError: a tracker cannot be reached, or does not know its run any more.
    """
    followers = Followers(run_dir / KNOWN)
    parameters = {key: value for key, value in flat(dump(recipe)).items() if value != ""}
    try:
        for name in dict.fromkeys(recipe.train.trackers):
            followers.join(name, recipe.name, parameters)
        yield followers
    finally:
        followers.leave()


class Followers:
    """The trackers of a run, and what they have been told.

    Args:
        path: of the file that keeps it, with the id of the run that each has made.
    """

    def __init__(self, path):
        self.path, self.callbacks, self.ended = path, {}, False
        self.known = read_json(path, OF_KNOWN) if os.path.lexists(path) else {}

    def join(self, name, run_name, parameters):
        try:
            known = self.known.get(name, {}).get("run")
            run, where, self.callbacks[name] = TRACKERS[name].begin(run_name, parameters, known)
        except Exception as error:
            raise KerastlError(
                f"train.trackers: {name} cannot follow this run ({brief(error)}); expected it set up as its documentation says, "
                "or train.trackers=[]"
            ) from None
        self.known.setdefault(name, {"run": run, "epochs": 0})
        write_json(self.path, self.known)
        tell("tracked", f"{name}: run {run}, {where}", tracker=name, id=run, where=where)

    def epochs(self, rows):
        """Tell of the rows of history.csv that are new. Killed on the way, the last one is left out; none is told twice."""
        for name, callback in self.callbacks.items():
            told = self.known[name]["epochs"]
            self.known[name]["epochs"] = max(told, len(rows))
            write_json(self.path, self.known)
            for epoch, row in enumerate(rows[told:], start=told + 1):
                numbers = {key: it for key, it in row.items() if key not in ("phase", "epoch") and it is not None}
                with _the_run_goes_on(name):
                    callback.set_model(_stand_in(row))
                    callback.on_epoch_end(epoch, numbers)

    def finish(self, numbers, exports):
        """Tell how the run has ended.

        Args:
            numbers: a dict, as {"test": {"accuracy": 0.9, ...}, "seconds": 12.3}.
            exports: names of files.
        """
        plain = {key.replace(".", "/"): value for key, value in flat(numbers).items() if value is not None}
        for name in self.callbacks:
            with _the_run_goes_on(name):
                TRACKERS[name].finish(plain, exports)
        self.ended = True

    def leave(self):
        for name in self.callbacks:
            with _the_run_goes_on(name):
                TRACKERS[name].leave(self.ended)


@contextlib.contextmanager
def _the_run_goes_on(name):
    """A service that fails after hours of training is no reason to lose them."""
    try:
        yield
    except Exception as error:
        warnings.warn(
            f"train.trackers: {name} was not told ({brief(error)}); the run goes on", KerastlWarning, stacklevel=3
        )


def _stand_in(row):
    """All that a tracker asks of a model: one learning rate. Keras' optimizer of several has none, and raises."""
    import tensorflow as tf

    rates = [value for key, value in row.items() if key.startswith("lr_") and value is not None]
    return SimpleNamespace(optimizer=SimpleNamespace(learning_rate=tf.constant(rates[-1])))
