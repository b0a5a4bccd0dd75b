"""Precision: in which number format the backbone's layers compute, for as long as they train.

Variables stay float32; heads, losses, resize and preprocessing compute in float32 always (Micikevicius et al. 2018).
"""

import contextlib
import hashlib
import json
import os
import time
import warnings

import keras
import tensorflow as tf

from kerastl.data.home import home
from kerastl.errors import KerastlWarning
from kerastl.files import write_json
from kerastl.model.fold import fold
from kerastl.model.graph import FEATURES, INPUT_LAYERS
from kerastl.processor import processor

# What `auto` tries, by the kind of device; the first is kept unless another is faster by a tenth.
CANDIDATES = {
    "CPU": ("float32", "mixed_bfloat16"),
    "GPU": ("float32", "mixed_float16", "mixed_bfloat16"),
    "TPU": ("float32", "mixed_bfloat16"),
}
WORTH = 1.1
STEPS = 4  # of which the fastest counts
ALWAYS_FLOAT32 = (keras.layers.InputLayer, keras.layers.Resizing, keras.layers.Rescaling, keras.layers.Normalization)


def set_precision(model, policy):
    """Let the backbone's layers of a model compute in a precision.

    Args:
        model: a flat `keras.Model`: the whole one, a trunk or a tail.
        policy: Keras policy: float32, mixed_bfloat16 or mixed_float16.
    """
    for layer in _of_backbone(model):
        layer.dtype_policy = policy


@contextlib.contextmanager
def precision(model, policy):
    """For the time of a `with` block, let the backbone's layers compute in a precision; afterwards in their own again."""
    before = {layer.name: layer.dtype_policy for layer in _of_backbone(model)}
    set_precision(model, policy)
    try:
        yield
    finally:
        for layer in _of_backbone(model):
            layer.dtype_policy = before[layer.name]


def faster_precision(policy, model, batch, *, training):
    """The precision a phase asks for; `auto` is measured for a few steps, once for a machine, a network and a batch.

    Args:
        policy: auto, or a Keras policy, which is given back.
        model: what will run; its weights are left as they are.
        batch: an array of what it takes.
        training: whether gradients belong to a step.

    Returns:
        A Keras policy.
    """
    if policy != "auto":
        return policy
    answers, about = _answers(), _about(model, batch, training)
    if about not in answers:
        runs = model if training else fold(model)  # without gradients it is a trunk, and those run folded
        seconds = step_seconds(runs, batch, training, CANDIDATES[_device()])
        first, best = CANDIDATES[_device()][0], min(seconds, key=seconds.get)
        answers[about] = best if seconds[first] > WORTH * seconds[best] else first
        _keep(answers)
    return answers[about]


def step_seconds(model, batch, training, policies):
    """Seconds of a step in each precision: the fastest of some, in turns, so that a busy moment harms none alone.

    Args:
        model: a `keras.Model`; its weights are as before afterwards.
        batch: an array of what it takes.
        training: whether gradients belong to a step.
        policies: Keras policies.

    Returns:
        A dict from policy to seconds.
    """
    moving = [(variable, variable.numpy()) for variable in model.non_trainable_variables]
    x, steps = tf.cast(batch, tf.float32), {}
    for policy in policies:
        with precision(model, policy):
            steps[policy] = _step(model, training)
            steps[policy](x)  # traced while the layers have this precision
    times = {policy: [] for policy in policies}
    for policy in policies * STEPS:
        began = time.perf_counter()
        keras.tree.map_structure(lambda value: value.numpy(), steps[policy](x))
        times[policy].append(time.perf_counter() - began)
    for variable, value in moving:
        variable.assign(value)
    return {policy: min(seconds) for policy, seconds in times.items()}


def _step(model, training):
    @tf.function
    def step(x):
        if not training:
            return model(x, training=False)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(x, training=True)))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_weights)]

    return step


def _about(model, batch, training):
    """What the answer holds for: this machine, this TensorFlow, this network and batch."""
    parts = [processor(), os.cpu_count(), _device(), tf.__version__, keras.__version__, list(batch.shape), training]
    parts += [
        (type(it).__name__, [t.shape for t in keras.tree.flatten(it.output)], it.trainable) for it in model.layers
    ]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _answers():
    try:
        return json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _keep(answers):
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_json(_file(), answers)
    except OSError as error:
        remedy = "KERAS_HOME names another place"
        told = f"{_file()}: cannot be written ({error.strerror}), so precision is measured anew each time; {remedy}"
        warnings.warn(told, KerastlWarning, stacklevel=4)


def _file():
    return home() / "precision.json"


def _device():
    kinds = {device.device_type for device in tf.config.get_visible_devices()}
    return next(kind for kind in ("TPU", "GPU", "CPU") if kind in kinds)


def _of_backbone(model):
    names = [layer.name for layer in model.layers]
    behind = names.index(FEATURES) if FEATURES in names else 0 if "logits" in names else len(names)
    return [it for it in model.layers[:behind] if it.name not in INPUT_LAYERS and not isinstance(it, ALWAYS_FLOAT32)]
