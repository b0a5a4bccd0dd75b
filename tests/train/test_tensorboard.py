"""logs/: what TensorBoard reads there, with its own reader."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from kerastl.data.images import Images
from kerastl.model.graph import build_model
from kerastl.train.tensorboard import SAMPLES, Curves, first_images


def read(folder, name):
    """All tensors of one of TensorBoard's runs: by tag, pairs of step and value."""
    events = EventAccumulator(str(folder / "logs" / name), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [(it.step, make_ndarray(it.tensor_proto)) for it in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def curve(tensors, tag):
    return [(step, pytest.approx(float(value), rel=1e-6)) for step, value in tensors[tag]]


def test_a_run_s_logs_are_its_history(finished):
    with (finished.folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    train, validation = read(finished.folder, "train"), read(finished.folder, "validation")
    for column in ("loss", "accuracy"):
        numbered = list(enumerate(rows, start=1))
        assert [(n, float(row[column])) for n, row in numbered] == curve(train, column)
        assert [(n, float(row[f"val_{column}"])) for n, row in numbered] == curve(validation, column)
    assert [(1, float(rows[0]["lr_stem"]))] == curve(train, "learning_rate/stem"), "in the second phase it is frozen"
    assert [(n, float(row["lr_head"])) for n, row in numbered] == curve(train, "learning_rate/head")
    assert (
        len(rows) == 2 and b"SmallCNN" not in train["keras"][0][1].item() and b"logits" in train["keras"][0][1].item()
    )
    width, height, *samples = train["samples"][0][1]
    assert (width, height, len(samples)) == (b"32", b"32", SAMPLES)
    [(_, (_, _, picture))] = read(finished.folder, "test")["answers"]
    assert tf.io.decode_png(picture).shape[1] > 500


@pytest.fixture
def made(tiny):
    random = np.random.default_rng(0)
    images = Images(random.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8), np.arange(20) % 2)
    data = SimpleNamespace(train=images, validation=None, class_names=("a", "b"))
    recipe = tiny(**{"train.batch_size": 20})
    return build_model(recipe.model, (16, 16, 3), 2), data, recipe


def row(epoch, **more):
    return {"phase": "all", "epoch": epoch, "loss": 1.0 / epoch, "seconds": 1.0, "lr_head": 0.1, **more}


def test_resumed_no_step_is_there_twice(made, tmp_path):
    """Killed after an epoch was drawn and before the state knew of it: it is trained and drawn again."""
    for known in ([row(1), row(2), row(3)], [row(1), row(2)], [row(1), row(2), row(3), row(1, val_loss=None)]):
        curves = Curves(tmp_path, *made)
        for count in range(len(known) - 1, len(known) + 1):  # the last epoch of each process is its own
            curves(known[:count])
        curves.close()
    tensors = read(tmp_path, "train")
    assert [step for step, _ in tensors["loss"]] == [1, 2, 3, 4] and len(tensors["samples"]) == 1
    assert not (tmp_path / "logs" / "validation").exists()


def test_nothing_is_drawn_where_no_epoch_was_trained(made, tmp_path):
    Curves(tmp_path, *made).close()
    assert not list(tmp_path.iterdir())


def test_samples_are_what_the_network_sees(made):
    """Those of the first batch, at the size of the network; and augmented, they are others."""
    model, data, recipe = made
    plain = first_images(model, data, recipe)
    assert plain.shape == (SAMPLES, 32, 32, 3) and plain.dtype == np.uint8
    resized = np.rint(model.get_layer("resize")(data.train.pixels.astype("float32"))).astype(np.uint8)
    assert {it.tobytes() for it in plain} <= {it.tobytes() for it in resized}
    mirrored = first_images(model, data, replace(recipe, augment=replace(recipe.augment, flip="horizontal")))
    ways = {it.tobytes() for it in resized} | {it[:, ::-1].tobytes() for it in resized}
    assert {it.tobytes() for it in mirrored} <= ways and (mirrored != plain).any()
