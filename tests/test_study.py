"""One list of trials for several processes: each place is tried once, whatever happens to those who try it."""

import contextlib
import importlib
import sqlite3
import sys
import threading
from types import SimpleNamespace

import pytest

from kerastl import study as shared
from kerastl.database import looked_through, open_storage
from kerastl.errors import BrokenRun, MissingExtra, TrainingFailed, UserError
from kerastl.shapes import Names
from kerastl.space import Range, Space
from kerastl.study import State, join, report, why_failed, work

GRID = Space({"x": tuple("012345")}, tuple({"x": x} for x in "012345"))


@pytest.fixture
def database(tmp_path, monkeypatch):
    for name, seconds in (("HEARTBEAT", 0.05), ("GRACE", 0.3), ("PAUSE", 0.05)):
        monkeypatch.setattr(shared, name, seconds)
    return f"sqlite:///{tmp_path / 'sweep.db'}"


def entered(database, **how):
    return join(open_storage(database), "sweep", {"recipe": {"seed": 0}}, **how)


def tried(study, space=GRID, attempt=lambda trial, place: place / 10):
    return work(study, space.places, attempt, space)


def test_every_place_is_tried_once_by_whomever(database):
    done, ended = [], []

    def attempt(trial, place):
        done.append((place, trial.params["x"]))
        return place / 10

    def help_out():
        ended.append([(it.user_attrs["place"], it.value) for it in tried(entered(database), attempt=attempt)])

    threads = [threading.Thread(target=help_out) for _ in range(3)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert sorted(done) == list(enumerate("012345"))
    assert ended == [[(place, place / 10) for place in range(6)]] * 3


def test_a_finished_study_repeats_nothing(database):
    values = [it.value for it in tried(entered(database))]
    assert [it.value for it in tried(entered(database), attempt=None)] == values


def test_the_place_of_a_dead_process_is_tried_again_with_the_same_setting(database):
    space, study = Space({"x": Range(0.0, 1.0)}, ({},) * 2), entered(database)

    def dies(trial, place):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(shared, "_end", lambda *_, **marks: None)  # as after SIGKILL, nobody says how it ended
        tried(study, space, dies)
    assert study.trials[0].state is State.RUNNING
    trials = tried(entered(database), space)
    assert trials[0].number > 1 and trials[0].params == study.trials[0].params
    assert [it.state for it in trials] == [State.COMPLETE] * 2


def test_a_process_that_died_before_its_first_sign_of_life(database):
    study = entered(database)
    study.enqueue_trial(GRID.places[0], user_attrs={"place": 0})
    study.ask()
    assert [it.value for it in tried(entered(database))] == [place / 10 for place in range(6)]


def test_a_place_over_which_processes_die_is_given_up(database):
    study, deaths = entered(database), []

    def attempt(trial, place):
        if place == 2:
            deaths.append(trial.number)
            study.tell(trial.number, state=State.FAIL)  # another process takes this one for dead ...
            trial.report(0.5, 1)  # ... and it goes on to the next place
        return place / 10

    trials = tried(study, attempt=attempt)
    assert len(deaths) == shared.DEATHS
    assert why_failed(study, trials[2]) == "its process died 3 times"
    assert [it.state for it in trials].count(State.COMPLETE) == 5


def test_what_was_interrupted_goes_on(database):
    def interrupted(trial, place):
        if place == 1:
            raise KeyboardInterrupt
        return 0.0

    for _ in range(shared.DEATHS + 1):  # that is no death
        with pytest.raises(KeyboardInterrupt):
            tried(entered(database), attempt=interrupted)
    assert [it.value for it in tried(entered(database))] == [0.0, 0.1, 0.0, 0.0, 0.0, 0.0]


def test_training_that_fails_is_not_repeated(database):
    def fails(trial, place):
        raise TrainingFailed("the loss became nan")

    study, places = entered(database), [*range(6), 0, 3]  # two of them queued twice, as two processes may do
    for place in places:
        study.enqueue_trial(GRID.places[place], user_attrs={"place": place})
    trials = tried(study, attempt=fails)
    assert {why_failed(study, it) for it in trials} == {"the loss became nan"} and len(study.trials) == len(places)
    assert [it.number for it in trials] == list(range(6))


def test_hopeless_trials_are_pruned(database):
    def attempt(trial, place):
        for epochs in (1, 2, 3):
            report(trial, [{"val_accuracy": 0.9 - place / 10 - epoch / 100} for epoch in range(epochs)])
        return 0.9 - place / 10

    trials = tried(entered(database, pruned_after=2), attempt=attempt)
    assert [it.state for it in trials] == [State.COMPLETE] * 5 + [State.PRUNED]
    assert trials[5].last_step == 2


def test_a_search_draws_nothing_twice_and_the_same_again(database):
    space = Space({"x": Range(1, 4), "y": ('"a"', '"b"')}, ({},) * 8)
    drawn = [it.params for it in tried(entered(database), space)]
    assert len({tuple(it.items()) for it in drawn}) == 8
    again = join(open_storage(database), "again", {"recipe": {}})
    assert [it.params for it in tried(again, space)] == drawn


def test_another_sweep_of_the_same_name_is_refused(database):
    entered(database)
    told = (
        r"study 'sweep': this sweep was begun otherwise: recipe.seed was 0, is 1; expected the same, or name this one"
    )
    with pytest.raises(UserError, match=told):
        join(open_storage(database), "sweep", {"recipe": {"seed": 1}})


NO_DATABASES = [
    ("sweep.db", UserError, "--storage: found no URL of a database .*; expected sqlite:///FILE or postgresql://USER"),
    ("nosql://x", UserError, "--storage: found no URL of a database"),
    ("sqlite:////nowhere/at/all.db", UserError, "sqlite:////nowhere/at/all.db: cannot be opened .*unable to open"),
    ("oracle://me:secret@host/x", MissingExtra, r"oracle://me:\*\*\*@host/x needs a driver that is not installed"),
]


@pytest.mark.parametrize(("url", "error", "told"), NO_DATABASES)
def test_a_database_that_is_none(url, error, told):
    with pytest.raises(error, match=told):
        open_storage(url)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "kerastl.database")
    with pytest.raises(MissingExtra, match=r'pip install "kerastl\[sweep\]"'):
        importlib.import_module("kerastl.database")


SPOILT = {
    "a value that is no JSON": ("update trial_user_attributes set value_json = 'gASV'", "JSONDecodeError"),
    "a place in letters": (
        """update trial_user_attributes set value_json = '"x"' where key = 'place'""",
        "trial 0: place: found 'x'; expected a whole number",
    ),
    "a place that is none": (
        "update trial_user_attributes set value_json = '6' where key = 'place'",
        "found the place 6 of 6",
    ),
    "a distribution of another class": (
        """update trial_params set distribution_json = '{"name": "os.system", "attributes": {}}'""",
        "Unknown distribution class: os.system",
    ),
    "a choice that is none": ("update trial_params set param_value = 99", "IndexError"),
    "a state that is none": ("update trials set state = 'HUH'", "LookupError: 'HUH'"),
    "about nothing": ("update study_user_attributes set value_json = 'null'", "study 'sweep': the whole: found None"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_database_of_a_stranger(database, name, tmp_path):
    tried(entered(database))
    spoil, told = SPOILT[name]
    with contextlib.closing(sqlite3.connect(tmp_path / "sweep.db")) as file:
        file.execute(spoil)
        file.commit()
    with pytest.raises(BrokenRun, match=rf"the database of the sweep cannot be read: .*{told}.*begin anew \(--out NEW"):
        tried(entered(database))


@pytest.mark.parametrize(
    ("known", "value"), [({}, 0.5), ({"test": []}, 0.5), ({"test": {}}, None), ({"test": {}}, 2.0)]
)
def test_a_trial_of_a_stranger(known, value):
    trial = SimpleNamespace(number=3, state=State.COMPLETE, user_attrs=known, value=value)
    with pytest.raises(BrokenRun, match=r"trial 3: (test|value): "):
        looked_through([trial], {"test": Names(object)})
