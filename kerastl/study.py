"""One list of trials that several processes work through together: an Optuna study in a database.

Every place of the list is queued as a trial; whoever comes first takes it up, and shows from then on that it lives. A trial
whose process died is queued again. The database decides each race, so the processes need no other connection.

Optuna's own heartbeat is not used: it never notices a process that died between taking up a trial and its first beat.
"""

import contextlib
import itertools
import threading
import time

import numpy as np

from kerastl.database import optuna, readable, trials_of, unreadable
from kerastl.errors import TrainingFailed, UserError
from kerastl.resume import differences
from kerastl.shapes import Names, problem
from kerastl.space import Range

HEARTBEAT = 10.0  # seconds between two signs of life
GRACE = 60.0  # seconds without one after which a process is taken for dead
PAUSE = 2.0  # seconds between two looks at what the others do, where they have taken all that is left
DEATHS = 3  # processes that may die over a place before it is given up
STARTUP = 5  # trials that end before the first one is pruned

Pruned = optuna.TrialPruned
State = optuna.trial.TrialState
ABOUT = {"recipe": Names(object)}  # what is known of a study
ALIVE = {State.WAITING, State.RUNNING, State.COMPLETE, State.PRUNED}


def join(storage, name, about, pruned_after=None):
    """Begin a study, or join it where it is there.

    Args:
        storage: what `open_storage` gave.
        name: of the study.
        about: what decides its results, as a table: all who join have the same.
        pruned_after: epochs after which a trial worse than the median of the others is ended; None lets all of them end.

    Returns:
        An Optuna study.

    Raises:
        UserError: the study is about something else.
    """
    pruner = optuna.pruners.NopPruner() if pruned_after is None else optuna.pruners.MedianPruner(STARTUP, pruned_after)
    with readable():
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
        )
        if "about" not in study.user_attrs:
            study.set_user_attr("about", about)
        before = study.user_attrs["about"]
    if told := problem(before, ABOUT):
        raise unreadable(f"study {name!r}: {told}")
    refuse_another(before, about, f"study {name!r}", "name this one otherwise (--set name=NAME)")
    return study


def refuse_another(before, now, where, remedy):
    """Raise UserError where two tables about a sweep differ in what decides its results."""
    if different := differences(before, now):
        told = "; ".join(different.values())
        raise UserError(f"{where}: this sweep was begun otherwise: {told}; expected the same, or {remedy}")


def work(study, places, attempt, space=None, seed=0):
    """Work through the places until each has its result, from this process or from another one.

    Args:
        study: what `join` gave.
        places: for each place what is tried there, as Optuna's parameters; {} where they are drawn.
        attempt: a function of the trial and its place that gives its value, or raises `Pruned`.
        space: the `Space` to draw from.
        seed: of the draws.

    Returns:
        The trial that counts of each place.
    """
    seen = {}
    while True:
        _fail_the_dead(study, seen)
        counting = _queue(study, places)
        states = {trial.state for trial in counting.values()}
        if State.WAITING in states:
            with readable():
                trial = study.ask()
            _run(study, trial, attempt, space, seed)
        elif State.RUNNING in states:
            time.sleep(PAUSE)
        else:
            return [counting[place] for place in range(len(places))]


def counted(study):
    """The trial that counts of each place: the first that is alive or failed for good, else the last one."""
    counting = {}
    for trial in trials_of(study):
        place = trial.user_attrs.get("place")
        if place is None or trial.user_attrs.get("double"):
            continue
        before = counting.get(place)
        if before is None or (before.state not in ALIVE and "why" not in before.user_attrs):
            counting[place] = trial
    return counting


def why_failed(study, trial):
    """Why a place has no result and will not be tried again; None where it has one, or is still to be tried."""
    if trial.state in ALIVE or "why" in trial.user_attrs:
        return trial.user_attrs.get("why")
    failed = trials_of(study, states=(State.FAIL,))
    ended = [it.user_attrs for it in failed if it.user_attrs.get("place") == trial.user_attrs["place"]]
    deaths = sum(not it.get("double") and not it.get("stopped") for it in ended)
    return f"its process died {deaths} times" if deaths >= DEATHS else None


def report(trial, rows):
    """Tell the study how accurate a trial is after each epoch, once; `Pruned` is raised where it is hopeless.

    Args:
        trial: that `work` gave to an attempt.
        rows: of history.csv, so far.
    """
    known = trials_of(trial.study)[trial.number].intermediate_values
    for epoch, row in enumerate(rows, start=1):
        if epoch not in known:
            trial.report(row["val_accuracy"], epoch)
    if trial.should_prune():
        raise Pruned


def _fail_the_dead(study, seen):
    """End the trials that have shown no sign of life for some time, by the clock of this process alone."""
    now = time.monotonic()
    for trial in trials_of(study, states=(State.RUNNING,)):
        since = seen.setdefault((trial.number, trial.user_attrs.get("beat")), now)
        if now - since > GRACE:
            _end(study, trial.number, State.FAIL)


def _queue(study, places):
    """Queue the places that nobody has, with what was tried there before; gives what counts of each place."""
    counting = counted(study)
    if max(counting, default=0) >= len(places):
        raise unreadable(f"found the place {max(counting):,} of {len(places):,}")
    for place, parameters in enumerate(places):
        trial = counting.get(place)
        if trial is None or (trial.state not in ALIVE and why_failed(study, trial) is None):
            parameters = (trial and trial.params) or parameters
            study.enqueue_trial(parameters, user_attrs={"place": place})
    return counted(study)


def _run(study, trial, attempt, space, seed):
    """Take up a trial, unless another one stands for its place or its setting."""
    place = trial.user_attrs.get("place")
    if place is None or counted(study)[place].number != trial.number:  # others were quicker
        return _end(study, trial, State.FAIL, double=True)
    with _alive(trial):
        try:
            if space and _drawn_again(study, trial, space, [seed, place]):
                return None
            value = attempt(trial, place)
        except Pruned:
            _end(study, trial, State.PRUNED)
        except TrainingFailed as error:
            _end(study, trial, State.FAIL, why=str(error))
        except optuna.exceptions.UpdateFinishedTrialError:
            return None  # this process was taken for dead: another one has the place
        except BaseException:
            _end(study, trial, State.FAIL, stopped=True)
            raise
        else:
            _end(study, trial, State.COMPLETE, value)


def _end(study, trial, state, value=None, **marks):
    """Say how a trial ended, unless another process has said so."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
        for mark, told in marks.items():
            trial.set_user_attr(mark, told)
        study.tell(trial, value, state, skip_if_finished=True)


def _drawn_again(study, trial, space, seed):
    """Draw what is tried; where that is no news, leave the place to a setting that is."""
    _draw(study, trial, space, seed)
    others = [it for it in trials_of(study, states=ALIVE) if it.number != trial.number]
    tried = [it.params for it in others]
    if trial.params not in tried:
        return False
    _end(study, trial, State.FAIL, double=True)
    study.enqueue_trial(space.untried(tried, trial.number), user_attrs={"place": trial.user_attrs["place"]})
    return True


def _draw(study, trial, space, seed):
    """What is tried, from what is known of the trials before; of the same seed and place the same."""
    study.sampler = optuna.samplers.TPESampler(seed=int(np.random.SeedSequence(seed).generate_state(1)[0]))
    for key, it in space.keys.items():
        if not isinstance(it, Range):
            trial.suggest_categorical(key, it)
        else:
            suggest = trial.suggest_int if it.whole else trial.suggest_float
            suggest(key, it.low, it.high, log=it.log)


@contextlib.contextmanager
def _alive(trial):
    """For the time of a `with` block, show the other processes that this one lives."""
    ended = threading.Event()

    def beat():
        for count in itertools.count():
            with contextlib.suppress(optuna.exceptions.OptunaError):  # the database is away: it may come back in time
                trial.set_user_attr("beat", count)
            if ended.wait(HEARTBEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
