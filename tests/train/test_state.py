"""Killed at any moment, a phase goes on and ends with the same bits; and what is kept is whole."""

import keras
import numpy as np
import pytest

from kerastl.data.load import load
from kerastl.errors import KerastlError
from kerastl.model.graph import build_model
from kerastl.model.groups import layer_groups
from kerastl.train import state
from kerastl.train.fit import fit
from kerastl.train.history import read_history
from kerastl.train.plan import plan

pytestmark = pytest.mark.usefixtures("to_the_bit")


class Killed(BaseException):
    """Nothing catches it on the way, as nothing catches SIGKILL."""


@pytest.fixture(scope="module")
def digits(tiny):
    return load(tiny().data, 32)


EVERYTHING = {  # two phases with all that remembers: moving averages, early stopping, best weights, dropout, rates, schedules
    "train.epochs_scale": 1.0,
    "train.batch_size": 16,
    "train.checkpoint_minutes": 1e-9,
    "model.head.dropout": 0.3,
    "phases": [
        {
            "name": "all",
            "trainable": "all",
            "epochs": 3,
            "keep_best": True,
            "optimizer": {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01, "ema": 0.9},
            "schedule": {"name": "one-cycle"},
        },
        {
            "name": "upper",
            "trainable": ["stage4", "head"],
            "epochs": 4,
            "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": {"stage4": 1e-3, "head": 1e-2}},
            "early_stopping": {"patience": 1, "monitor": "val_accuracy"},
        },
    ],
}
AUGMENTED = {"augment.flip": "horizontal", "augment.rotation": 10.0, "augment.mixup": 0.2}


def trained(spec, data, folder, resume=False):
    keras.utils.set_random_seed(spec.seed)
    model = build_model(spec.model, data.shape, len(data.class_names))
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    done = fit(model, data, spec, plans, groups, folder, resume)
    rows = [
        {key: value for key, value in row.items() if key != "seconds"} for row in read_history(folder / "history.csv")
    ]
    times = ("seconds", "feature_seconds", "images_per_second")
    summaries = [{key: value for key, value in it.items() if key not in times} for it in done]
    return {name: np.array(it) for name, it in state.variables_of(model.layers).items()}, rows, summaries


def kill_after(saves, monkeypatch, before):
    """Die at the n-th time that something is kept: just before it is on the disk, or just after."""
    count, save = [0], state.save

    def deadly(*arguments):
        count[0] += 1
        if before and count[0] == saves:
            raise Killed
        save(*arguments)
        if count[0] == saves:
            raise Killed

    monkeypatch.setattr(state, "save", deadly)
    return count


CASES = {
    "all that remembers": {},
    "augmented": AUGMENTED,
    "augmented, cached views": AUGMENTED | {"train.views": 2},
}
# Which case, and after which shares of all the times its state is kept it is killed, and resumed.
KILLS = [
    ("all that remembers", (0.35, 0.8)),
    ("augmented, cached views", (0.5,)),
    *(pytest.param(case, (share,), marks=pytest.mark.slow) for case in CASES for share in (0.01, 0.2, 0.65, 0.9, 1.0)),
]


@pytest.fixture(scope="module")
def left_alone(tiny, digits, tmp_path_factory):
    """A function that gives a case that was never killed: its recipe, what it gave, and how often its state was kept."""
    known = {}

    def case(name):
        if name not in known:
            spec, patch = tiny(strategy="full", **EVERYTHING, **CASES[name]), pytest.MonkeyPatch()
            count = kill_after(10**9, patch, before=False)
            gave = trained(spec, digits, tmp_path_factory.mktemp("alone"))
            patch.undo()
            known[name] = spec, gave, count[0]
        return known[name]

    return case


@pytest.mark.parametrize(("case", "shares"), KILLS)
def test_killed_and_resumed_ends_with_the_same_bits(left_alone, digits, tmp_path, case, shares):
    spec, (weights, rows, summaries), saves = left_alone(case)
    for before, share in zip((0.0, *shares), shares, strict=False):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            kill_after(max(1, round((share - before) * saves)), patch, before=round(20 * share) % 2 == 1)
            trained(spec, digits, tmp_path, resume=before > 0)
    again, its_rows, its_summaries = trained(spec, digits, tmp_path, resume=True)
    assert its_rows == rows and its_summaries == summaries
    for name, value in weights.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)


def test_a_damaged_state_is_told(tmp_path):
    path = tmp_path / state.PHASES
    state.save(path, {"a": np.arange(10_000)}, {"epoch": 1})
    arrays, about = state.load(path)
    assert about == {"epoch": 1} and (arrays["a"] == np.arange(10_000)).all()
    spoilt = bytearray(path.read_bytes())
    spoilt[5000] ^= 1
    for bytes_ in (bytes(spoilt), path.read_bytes()[:3000], b""):
        path.write_bytes(bytes_)
        with pytest.raises(
            KerastlError, match=r"phases\.npz: (?:is|its member).* damaged.* delete it to go on from the state before"
        ):
            state.load(path)
