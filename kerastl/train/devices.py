"""Devices: what a run trains on, and the one `tf.distribute` strategy that spreads its steps over them.

A strategy lives inside `fit` alone: each phase trains a mirrored copy of what learns and gives the weights back, so the model that
is judged and exported is the plain one that it would be on a single device.

batch of a step, the same on every worker -> a share for each replica -> gradients, summed -> the same weights everywhere
"""

import contextlib
import functools
import hashlib
import json
import os

import keras
import tensorflow as tf

from kerastl.errors import KerastlError, RecipeError, UserError, brief
from kerastl.stopping import killed_by_sigterm
from kerastl.train.multi_worker import mended

CROSSENTROPY = "categorical_crossentropy"
WORKERS = ("chief", "worker")  # roles in TF_CONFIG, in their order


@functools.cache
def strategy_for(devices):
    """The strategy of this process: always the same object, as TensorFlow's collectives allow no second one.

    Several workers have to ask for it before anything else is computed.

    Args:
        devices: auto, cpu, gpu, tpu or multi-worker.

    Returns:
        A `tf.distribute.Strategy`; None for a single device without one.

    Raises:
        UserError: what is asked for is not there.
    """
    return STRATEGIES[devices]()


def worker():
    """Which worker of how many this process is, by TF_CONFIG; (0, 1) where there is none."""
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster = config.get("cluster", {})
        roles = {*cluster, config["task"]["type"]} if cluster else set()
        if others := sorted(roles - {*WORKERS}):
            raise UserError(
                f"TF_CONFIG: found the role {others[0]!r}; every process of kerastl trains: expected a cluster of workers, and perhaps "
                "a chief. Leave the other roles out, and start nothing for them"
            )
        counts = [len(cluster.get(kind, [])) for kind in WORKERS]
        if not sum(counts):
            return 0, 1
        kind, place = WORKERS.index(config["task"]["type"]), int(config["task"]["index"])
        if not 0 <= place < counts[kind]:
            raise ValueError(f"{WORKERS[kind]} {place} is none of {counts[kind]}")
        return sum(counts[:kind]) + place, sum(counts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"TF_CONFIG: cannot be read ({brief(error)}); expected JSON as "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        ) from None


def refuse_others(strategy, told):
    """Refuse to go on where other workers were started to do something else: they would wait for each other, or train something else.

    Args:
        strategy: of all of them.
        told: what this one is to do, as plain values.

    Raises:
        UserError: another one was told something else; all of them say so.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = hashlib.blake2b(repr(told).encode(), digest_size=3).digest()
    mine = tf.constant([int.from_bytes(digest, "big")], tf.float32)  # three bytes, which a float holds
    gather = tf.function(lambda: strategy.run(lambda: tf.distribute.get_replica_context().all_gather(mine, axis=0)))
    theirs = strategy.experimental_local_results(gather())[0].numpy()
    if (theirs != theirs[0]).any():
        index, count = worker()
        raise UserError(
            f"worker {index + 1} of {count}: the workers were not started with the same recipe and options, or do not see the same run "
            "folder; start all of them with the same command, and the folder on a disk that all of them see"
        )


def described(devices):
    """What a run trains on, in words."""
    strategy, (index, workers) = strategy_for(devices), worker()
    if strategy is None:
        return "one device, no strategy"
    kind = type(strategy).__name__.removesuffix("V2").removesuffix("V1")
    return f"{kind}, {strategy.num_replicas_in_sync} replicas" + (
        f", worker {index + 1} of {workers}" if workers > 1 else ""
    )


def _auto():
    if worker()[1] > 1:
        return _multi_worker()
    if "TPU_NAME" in os.environ or tf.config.list_physical_devices("TPU"):
        return _tpu()
    return _gpu() if tf.config.list_physical_devices("GPU") else None


def _cpu():
    tf.config.set_visible_devices([], "GPU")
    return tf.distribute.MirroredStrategy() if len(tf.config.list_logical_devices("CPU")) > 1 else None


def _gpu():
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        raise UserError(
            "train.devices: TensorFlow finds no GPU; expected one, or train.devices=auto to train on what there is"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else None  # for a single one it would only cost time


def _tpu():
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except Exception as error:
        raise UserError(f"train.devices: cannot reach a TPU ({brief(error)}); expected TPU_NAME, or a TPU VM") from None
    return tf.distribute.TPUStrategy(resolver)


def _multi_worker():
    if worker()[1] < 2:
        raise UserError(
            "train.devices: found no cluster in TF_CONFIG; expected two workers or more, as kerastl launch sets them up"
        )
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    with killed_by_sigterm():  # it waits for the others, and lets no other thread run
        return tf.distribute.MultiWorkerMirroredStrategy()


STRATEGIES = {"auto": _auto, "cpu": _cpu, "gpu": _gpu, "tpu": _tpu, "multi-worker": _multi_worker}


def check_batches(images, steps, count):
    """Refuse steps of fewer images than there are replicas: an empty share has no mean."""
    if images // steps < count:
        raise RecipeError(
            f"train.batch_size: found steps of {images // steps} images for {count} replicas; expected one image or more for each"
        )


def scope(strategy):
    """The context in which variables are made for a strategy; none without one."""
    return strategy.scope() if strategy else contextlib.nullcontext()


def mirrored(model):
    """A copy of a model whose variables are those of a strategy, in whose scope it is called.

    Batch normalisation takes its statistics over the whole batch, wherever its parts are: the same training on any devices.
    """
    copy = keras.models.clone_model(model)
    for layer in copy.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return copy


def build_compiled(model, strategy):
    """Make the variables of optimizer and metrics of a compiled model, in the scope, before a replica would need them."""
    nothing = tf.zeros((1, model.output_shape[-1]))
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(None, nothing, nothing)
    model.reset_metrics()
    mended(model, strategy)


def spread(batches, strategy, training):
    """Give each replica its share of every batch.

    Shares differ by one image at most. In training, those of a larger share weigh less, so that a step is that of the whole
    batch; the means of uneven shares that Keras reports as its loss are not weighted.

    Args:
        batches: tf.data.Dataset of tuples: images, targets, and perhaps weights; the same on every worker.
        strategy: a `tf.distribute.Strategy`.
        training: whether weights are needed.

    Returns:
        A `tf.distribute.DistributedDataset`.
    """
    count = strategy.num_replicas_in_sync

    def shares(context):
        here = count // context.num_input_pipelines
        first = context.input_pipeline_id * here

        def cut(*batch):
            n = tf.shape(batch[0])[0]
            parts = [_part(batch, n, place, count, training) for place in range(first, first + here)]
            dataset = tf.data.Dataset.from_tensors(parts[0])
            for part in parts[1:]:
                dataset = dataset.concatenate(tf.data.Dataset.from_tensors(part))
            return dataset

        return batches.flat_map(cut).prefetch(here)

    return strategy.distribute_datasets_from_function(shares)


def _part(batch, n, place, count, training):
    begin, end = n * place // count, n * (place + 1) // count
    images, targets, *weights = (part[begin:end] for part in batch)
    if not training:
        return images, targets, *weights
    share = tf.cast(count * (end - begin), tf.float32) / tf.cast(n, tf.float32)
    plain = tf.ones((end - begin,)) if not weights else weights[0]
    return images, targets, plain * share


class WholeLoss(keras.callbacks.Callback):
    """Puts the loss of the whole batch where Keras has the mean over shares that need not be even; first of all callbacks."""

    def on_train_batch_end(self, batch, logs=None):
        _put_whole_loss(logs)

    def on_epoch_end(self, epoch, logs=None):
        _put_whole_loss(logs)


def _put_whole_loss(logs):
    for split in ("", "val_"):
        if split + CROSSENTROPY in logs:
            logs[f"{split}loss"] = logs.pop(split + CROSSENTROPY)


@contextlib.contextmanager
def workers_told(run_dir):
    """For the time of a `with` block, let the loss of another worker be one sentence."""
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.InternalError,
        tf.errors.CancelledError,
    ) as error:
        index, count = worker()
        if count == 1:
            raise
        raise KerastlError(
            f"worker {index + 1} of {count}: another worker was lost ({brief(error)}). Start all of them again; kerastl train "
            f"--resume {run_dir} goes on from the last state"
        ) from None
