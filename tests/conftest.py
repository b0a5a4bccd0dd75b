"""Shared by all tests: nothing downloads, TensorFlow starts once, and trained models are made once."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image
from small import TEMPERATURE, TINY

from kerastl.recipe import recipe

# HYPOTHESIS_PROFILE=thorough tries many more examples, new ones each time.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser):
    parser.addoption("--update-plans", action="store_true", help="write tests/train/plans anew")


@pytest.fixture(autouse=True)
def nothing_at_home(monkeypatch, tmp_path_factory):
    """No dataset or weights of this machine's user take part."""
    empty = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KERAS_HOME", str(empty))
    monkeypatch.setenv("TFDS_DATA_DIR", str(empty))


@pytest.fixture(scope="session")
def tiny():
    """A function that makes any recipe small: 48 training scans, a small network, one epoch a phase."""

    def make(name="cifar10-finetune-first", strategy=None, **overrides):
        return recipe(name, strategy=strategy, **{**TINY, **overrides})

    return make


@pytest.fixture(scope="session")
def finished(tiny, tmp_path_factory):
    """A finished run of the tiny recipe, with exports; read it, do not write into it."""
    import tensorflow as tf

    from kerastl.evaluate import verdict
    from kerastl.run import train

    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict, "fit_temperature", lambda *_: TEMPERATURE)
        run = train(tiny(**{"export.folder": str(folder / "exports")}), folder / "run")
    tf.config.run_functions_eagerly(eagerly)
    return run


@pytest.fixture(scope="module")
def to_the_bit():
    """TensorFlow's deterministic operations for the tests of a module, and no longer."""
    import tensorflow as tf
    from tensorflow.python.framework import config

    tf.config.experimental.enable_op_determinism()
    yield
    config.disable_op_determinism()


@pytest.fixture(scope="module")
def step_by_step():
    """For modules in which training is not the subject: TensorFlow runs each operation as it comes. Making graphs of a tiny network takes
    ten times as long as running it; the tests of training itself (tests/train, tests/test_resume.py) do make them."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def in_graphs():
    """For a test of such a module that takes hundreds of steps."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    yield
    tf.config.run_functions_eagerly(before)


@pytest.fixture
def photos(tmp_path):
    """A function that writes a folder of random images: {"train/cat": 3, ...} -> files of varying size."""

    def write(counts, mode="RGB", suffix=".png", seed=0):
        random = np.random.default_rng(seed)
        for place, count in counts.items():
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                height, width = random.integers(20, 60, 2)
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(tmp_path / place / f"{number}{suffix}")
        return tmp_path

    return write
