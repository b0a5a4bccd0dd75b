"""tf.data of a split: uint8 images kept as they are, everything else done a batch at a time at native size."""

import math

import numpy as np
import tensorflow as tf

from kerastl.data.augment import StepSeeds, augment, augmentation, mix, mixing

SEED_LIMIT = 2**31 - 1


def steps_per_epoch(images, batch_size, repeat=1):
    """Steps in one epoch; the last one is never smaller than the others by more than one image."""
    return math.ceil(len(images) * repeat / batch_size)


def training_batches(
    images, classes, batch_size, epochs, seed, *, repeat=1, augment_spec=None, label_smoothing=0.0, first_step=0
):
    """All the training steps of a phase, in order: every image `repeat` times an epoch, in an order drawn for that epoch.

    Order and augmentation are functions of (seed, step), so any step can be made again without those before it. The
    images of an epoch are spread evenly over its steps: no last batch of two images to upset batch normalisation.

    Args:
        images: `Images`.
        classes: how many.
        batch_size: images in a step.
        epochs: how many.
        seed: of this phase; order and augmentation follow from it.
        repeat: passes over the images in an epoch.
        augment_spec: an `AugmentSpec`, or None for no augmentation and no mixing.
        label_smoothing: share of each target that is spread over all classes (Szegedy et al. 2016, section 7).
        first_step: where to begin, counted over the whole phase.

    Returns:
        A tf.data.Dataset of (float32 images of shape (batch, height, width, 3), float32 targets of shape (batch, classes)).
    """
    n, steps = len(images) * repeat, steps_per_epoch(images, batch_size, repeat)
    layers = augmentation(augment_spec) if augment_spec else []
    mixers = mixing(augment_spec) if augment_spec else []
    take = _taker(images)
    order_seed, draw_seed = (int(s) for s in np.random.SeedSequence(seed).generate_state(2) % SEED_LIMIT)

    def batch(step):
        epoch, place = step // steps, step % steps
        places = tf.range(place * n // steps, (place + 1) * n // steps)
        chosen = tf.random.experimental.index_shuffle(
            places, seed=tf.stack([tf.cast(order_seed, tf.int64), epoch]), max_index=n - 1
        )
        pixels, labels = take(chosen % len(images))
        targets = _targets(labels, classes, label_smoothing)
        if not layers and not mixers:
            return pixels, targets
        key = tf.random.stateless_uniform(
            [], tf.stack([tf.cast(draw_seed, tf.int64), step]), maxval=SEED_LIMIT, dtype=tf.int32
        )
        seeds = StepSeeds(key)
        changed = augment(tf.cast(pixels, tf.float32), layers, seeds)
        return mix(changed, targets, mixers, augment_spec.mix_switch, seeds)

    numbers = tf.data.Dataset.range(first_step, steps * epochs)
    return numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(images, classes, batch_size):
    """A split as it is, in its order.

    Args:
        images: `Images`.
        classes: how many.
        batch_size: images in a step; the last one may be smaller.

    Returns:
        A tf.data.Dataset of (uint8 images, float32 one-hot targets).
    """
    take = _taker(images)

    def batch(places):
        pixels, labels = take(places)
        return pixels, _targets(labels, classes, 0.0)

    places = tf.data.Dataset.range(len(images)).batch(batch_size)
    return places.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _taker(images):
    """A function from places to (uint8 images, labels); arrays stay in TensorFlow's memory, files are read when asked for."""
    labels = tf.constant(images.labels)
    if isinstance(images.pixels, np.ndarray):
        pixels = tf.constant(images.pixels)
        return lambda places: (tf.gather(pixels, places), tf.gather(labels, places))

    def read(places):
        pixels = tf.numpy_function(lambda some: images.pixels[some], [places], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (None, *images.shape)), tf.gather(labels, places)

    return read


def _targets(labels, classes, smoothing):
    return tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
