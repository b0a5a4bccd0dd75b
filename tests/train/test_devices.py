"""The same training on one device, two replicas and two workers, and what happens when a worker is lost."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import TINY
from typer.testing import CliRunner

from kerastl import launch as launching
from kerastl.cli import app
from kerastl.data.batches import even_batches, training_batches
from kerastl.data.images import Images
from kerastl.errors import KerastlError, KerastlWarning, RecipeError, UserError
from kerastl.launch import launch
from kerastl.train import devices, multi_worker
from kerastl.train.history import read_history

ALL_OF_IT = {  # rates by group, moving averages, batch statistics, augmentation, mixing, cached features, uneven shares
    **TINY,
    "data.limit": 70,
    "train.batch_size": 16,
    "train.epochs_scale": 1.0,
    "augment.flip": "horizontal",
    "augment.mixup": 0.2,
    "train.views": 2,
    "export.formats": [],
    "phases": [
        {"name": "head", "trainable": "head", "epochs": 3, "optimizer": {"learning_rate": 1e-3}},
        {
            "name": "upper",
            "trainable": ["stage4", "head"],
            "epochs": 3,
            "keep_best": True,
            "optimizer": {"name": "adamw", "ema": 0.9, "learning_rate": {"stage4": 1e-4, "head": 1e-3}},
        },
        {"name": "all", "trainable": "all", "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1e-4}},
    ],
}
TWO_DEVICES = """
import sys, tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from kerastl.cli import app
app(sys.argv[1:])
"""


def arguments(folder, **changes):
    settings = {key: json.dumps(value) for key, value in {**ALL_OF_IT, **changes}.items() if key != "phases"}
    recipe = folder.parent / "recipe.toml"
    if not recipe.exists():
        import tomli_w

        table = {
            "description": "",
            "data": {"name": "digits"},
            "model": {"backbone": "SmallCNN"},
            "phases": ALL_OF_IT["phases"],
        }
        recipe.write_text(tomli_w.dumps(table))
    return ["train", str(recipe), "--out", str(folder), *(f"--set={key}={value}" for key, value in settings.items())]


WAYS = {
    "one device": lambda folder: CliRunner().invoke(app, arguments(folder), catch_exceptions=False),
    "two replicas": lambda folder: subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, *arguments(folder, **{"train.devices": "cpu"})], check=True
    ),
    "two workers": lambda folder: launch(2, arguments(folder)),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of a run each way."""
    folder = tmp_path_factory.mktemp("ways")
    with pytest.MonkeyPatch.context() as patch:
        for name, run in WAYS.items():
            patch.setenv("KERAS_HOME", str(folder / f"home of {name}"))
            run(folder / name)
    return folder


@pytest.mark.parametrize("way", list(WAYS)[1:])
def test_the_same_training_on_any_devices(runs, way):
    alone, rows = (read_history(runs / it / "history.csv") for it in ("one device", way))
    assert len(rows) == len(alone) == 7
    for one, other in zip(alone, rows, strict=True):
        for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert other[column] == pytest.approx(one[column], rel=2e-4, abs=1e-5), (one["phase"], one["epoch"], column)
    weights = [keras.models.load_model(runs / it / "model.keras").get_weights() for it in ("one device", way)]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=2e-4)
    metrics = [json.loads((runs / it / "metrics.json").read_text()) for it in ("one device", way)]
    assert metrics[1]["test"]["accuracy"] == pytest.approx(metrics[0]["test"]["accuracy"], abs=0.006), "two of 360"
    told = metrics[1]["trained_on"]
    assert "2 replicas" in told and ("worker 1 of 2" in told) == (way == "two workers")


@pytest.mark.slow
def test_a_lost_worker_ends_the_others_and_the_run_goes_on(runs, tmp_path, monkeypatch):
    """Killed in the middle of an epoch; all are started again, and end where a run that was left alone does."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    shutil.copy(runs / "recipe.toml", tmp_path)
    out, (first, second) = tmp_path / "run", [f"127.0.0.1:{port}" for port in launching._free_ports(2)]
    with tempfile.TemporaryFile("w+") as log:
        workers = [launching._start([first, second], place, arguments(out), log) for place in range(2)]
        while not (out / "history.csv").exists() or len(list(csv.reader((out / "history.csv").open()))) < 5:
            assert workers[0].poll() is None
            time.sleep(0.02)
        workers[1].send_signal(signal.SIGKILL)
        assert workers[0].wait(timeout=90) == 1
        log.seek(0)
        assert (
            "another worker was lost (" in (told := log.read())
            and f"--resume {out} goes on from the last state" in told
        )
    launch(2, ["train", "--resume", str(out)])
    one, other = (json.loads((folder / "metrics.json").read_text()) for folder in (runs / "two workers", out))
    assert other["test"] == one["test"]
    rows = [
        [{**row, "seconds": 0} for row in read_history(folder / "history.csv")]
        for folder in (runs / "two workers", out)
    ]
    assert rows[0] == rows[1]


def test_a_worker_that_fails_is_told(tmp_path):
    with pytest.raises(KerastlError, match=r"2 of 2 workers failed\nworker 2: .*error: nowhere: holds no run"):
        launch(2, ["train", "--resume", "nowhere"])


CLUSTERS = {
    "": (0, 1),
    "{}": (0, 1),
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}': (1, 2),
    '{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 0}}': (1, 3),
    '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}': (0, 2),
}


NO_CLUSTERS = {
    '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}': "found the role 'ps'; every process",
    '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}': "found the role 'ps'",
    '{"cluster": {"ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}': "found the role 'ps'",
    '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "evaluator", "index": 0}}': "found the role 'evaluator'",
    '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}': "cannot be read .*worker 1 is none of 1",
    '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}': "cannot be read .*chief 0 is none of 0",
    '{"cluster": {"worker": ["a:1", "b:1"]}}': "cannot be read .*task",
    "[]": "cannot be read",
    "{": "cannot be read",
}


@pytest.mark.parametrize("config", NO_CLUSTERS)
def test_roles_that_are_no_worker(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match=f"TF_CONFIG: {NO_CLUSTERS[config]}"):
        devices.worker()


@pytest.mark.slow
def test_workers_that_were_started_to_do_something_else_are_told(tmp_path):
    """By a cluster, each with a command of its own."""
    addresses, made = [f"127.0.0.1:{port}" for port in launching._free_ports(2)], []
    with tempfile.TemporaryFile("w+") as log:
        for place in range(2):
            it = ["train", "quickstart", "--out", str(tmp_path / "run"), "--set", f"seed={place}"]
            made.append(launching._start(addresses, place, it, log))
        assert [it.wait(timeout=120) for it in made] == [2, 2]
        log.seek(0)
        assert log.read().count("the workers were not started with the same recipe and options") == 2


def test_nothing_is_imported_from_the_folder_one_stands_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("typer", "kerastl", "json"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    launch(1, ["--version"])
    assert not (tmp_path / "ran").exists()


def test_several_workers_have_to_name_the_folder(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", next(config for config in CLUSTERS if "chief" not in config and len(config) > 2))
    result = CliRunner().invoke(app, ["train", "quickstart"])
    assert result.exit_code == 2 and "--out: several workers have to agree on the run folder" in result.output


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_example_is_in_one_share(count):
    """Counted over an epoch, over all replicas; no share larger than another by more than one."""
    images = Images(np.arange(53 * 12, dtype="int64").reshape(53, 2, 2, 3), np.arange(53) % 4)
    seen = Counter()
    for batch in training_batches(images, 4, 16, 1, seed=[0, 0]):
        n = len(batch[0])
        shares = [devices._part(batch, n, place, count, training=True) for place in range(count)]
        sizes = [len(pixels) for pixels, _, _ in shares]
        assert sum(sizes) == n and max(sizes) - min(sizes) <= 1
        assert sum(float(tf.reduce_sum(weights)) for *_, weights in shares) / count == pytest.approx(
            sum(size * size for size in sizes) / n
        )
        for pixels, _, _ in shares:
            seen.update((pixels.numpy()[:, 0, 0, 0] // 12).tolist())
    assert seen == Counter(range(53))


def test_a_weighted_share_is_its_part_of_the_whole_mean():
    """What a step of uneven shares optimises: the mean over replicas of weighted means is the mean over the batch."""
    losses = tf.constant(np.random.default_rng(0).normal(size=13).astype("float32"))
    means = []
    for place in range(3):
        _, mine, weights = devices._part((losses, losses), 13, place, 3, training=True)
        means.append(float(tf.reduce_mean(mine * weights)))
    assert np.mean(means) == pytest.approx(float(tf.reduce_mean(losses)), rel=1e-5)


def test_even_batches_are_the_images_in_their_order():
    images = Images(np.arange(53 * 12, dtype="int64").reshape(53, 2, 2, 3), np.arange(53) % 4)
    batches = [pixels.numpy() for pixels, _ in even_batches(images, 4, 16)]
    assert [len(pixels) for pixels in batches] == [13, 13, 13, 14]
    np.testing.assert_array_equal(np.concatenate(batches), images.pixels)


@pytest.mark.parametrize("config", CLUSTERS)
def test_which_worker_this_is(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    assert devices.worker() == CLUSTERS[config]


@pytest.mark.parametrize("config", ["{", "[]", '{"cluster": {"worker": ["a:1"]}}'])
def test_a_cluster_that_cannot_be_read_is_told(monkeypatch, config):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(UserError, match=r"TF_CONFIG: cannot be read .*; expected JSON as"):
        devices.worker()


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is one")
def test_what_is_not_there_is_told(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=r"train\.devices: TensorFlow finds no GPU"):
        devices._gpu()
    with pytest.raises(UserError, match=r"train\.devices: found no cluster in TF_CONFIG"):
        devices._multi_worker()
    assert devices._auto() is None


def test_steps_that_cannot_be_shared_are_refused():
    devices.check_batches(images=8, steps=4, count=2)
    with pytest.raises(RecipeError, match="steps of 2 images for 3 replicas"):
        devices.check_batches(images=8, steps=4, count=3)


def test_several_workers_on_an_untested_keras_are_a_warning(monkeypatch):
    class Several(tf.distribute.MultiWorkerMirroredStrategy):
        def __init__(self):
            """None is set up."""

    monkeypatch.setattr(keras, "__version__", "3.99.0")
    monkeypatch.setattr(multi_worker.trainer, "reduce_per_replica", multi_worker._keras_own)
    with pytest.warns(KerastlWarning, match=r"tested with Keras 3\.15, not with 3\.99\.0"):
        multi_worker.mended(keras.Sequential(), Several())
    assert multi_worker.trainer.reduce_per_replica is multi_worker._reduce_per_replica


@pytest.mark.slow
def test_keras_still_needs_to_be_mended():
    """When this fails, keras issue 20585 has been closed: kerastl/train/multi_worker.py can go."""
    script = """
import os, sys, tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras
with strategy.scope():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
data = tf.data.Dataset.from_tensors((tf.ones((4, 2)), tf.ones((4, 1)))).repeat(4)
model.fit(data, steps_per_epoch=2, verbose=0)
"""
    addresses = [f"127.0.0.1:{port}" for port in launching._free_ports(2)]
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker"}}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "TF_CONFIG": json.dumps({**config, "task": {"type": "worker", "index": place}})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in range(2)
    ]
    told = [worker.communicate(timeout=120)[1] for worker in workers]
    assert all(worker.returncode for worker in workers) and all("PerReplica" in error for error in told)
