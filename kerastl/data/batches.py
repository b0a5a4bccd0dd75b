"""tf.data of a split: uint8 images kept as they are, everything else done a batch at a time at native size."""

import numpy as np
import tensorflow as tf

from kerastl.data.augment import StepSeeds, augment, augmentation, mix, mixing

SEED_LIMIT = 2**31 - 1
# Batches made before they are asked for. TensorFlow, left to choose, made 76 for a reader that comes and goes: a gigabyte.
AHEAD = 2
COPIED_BYTES = 2**28  # TensorFlow takes seconds and twice the memory to capture more


def steps_per_epoch(images, batch_size, repeat=1):
    """Steps in one epoch of so many images; no step is smaller than another by more than one image."""
    return -(-images * repeat // batch_size)


def training_batches(
    images,
    classes,
    batch_size,
    epochs,
    seed,
    *,
    repeat=1,
    augment_spec=None,
    label_smoothing=0.0,
    first_step=0,
    views=1,
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
        views: how many versions of the set follow each other in `images`; every image takes its next one at every pass, and those
            of a pass are not all of one version.

    Returns:
        A tf.data.Dataset of (images, float32 targets of shape (batch, classes)); images are as they are stored, or float32
        where they were augmented.
    """
    once = len(images) // views
    n, steps = once * repeat, steps_per_epoch(once, batch_size, repeat)
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
        view = (epoch * repeat + chosen // once + chosen % once) % views
        pixels, labels = take(view * once + chosen % once)
        targets = _targets(labels, classes, label_smoothing)
        if not layers and not mixers:
            return pixels, targets
        seeds = _step_seeds(draw_seed, step)
        changed = augment(tf.cast(pixels, tf.float32), layers, seeds)
        return mix(changed, targets, mixers, augment_spec.mix_switch, seeds)

    numbers = tf.data.Dataset.range(first_step, steps * epochs)
    return numbers.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)


def evaluation_batches(images, classes, batch_size):
    """A split as it is, in its order.

    Args:
        images: `Images`.
        classes: how many.
        batch_size: images in a step; the last one may be smaller.

    Returns:
        A tf.data.Dataset of (images as they are stored, float32 one-hot targets).
    """
    return _evaluated(images, classes, tf.data.Dataset.range(len(images)).batch(batch_size))


def even_batches(images, classes, batch_size):
    """As `evaluation_batches`, with no step smaller than another by more than one image: each can be shared out."""
    steps = steps_per_epoch(len(images), batch_size)
    edges = tf.constant([len(images) * step // steps for step in range(steps + 1)], tf.int64)
    places = tf.data.Dataset.range(steps).map(lambda step: tf.range(edges[step], edges[step + 1]))
    return _evaluated(images, classes, places)


def _evaluated(images, classes, places):
    take = _taker(images)

    def batch(here):
        pixels, labels = take(here)
        return pixels, _targets(labels, classes, 0.0)

    return places.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)


def ordered_batches(images, places, batch_size, augment_spec=None, seed=None, mirrored=()):
    """The images at some places, in the order given, without labels: for the pass through frozen layers.

    Args:
        images: `Images`.
        places: int array of shape (n,).
        batch_size: images in a step; the last one may be smaller.
        augment_spec: an `AugmentSpec`, or None; without mixing.
        seed: of its draws, which are a function of the seed and the first place of a batch.
        mirrored: axes of a batch along which each image is turned.

    Returns:
        A tf.data.Dataset of images, float32 where they are augmented.
    """
    take = _taker(images)
    layers = augmentation(augment_spec) if augment_spec else []
    draw_seed = int(np.random.SeedSequence(seed).generate_state(1)[0] % SEED_LIMIT) if layers else 0

    def batch(here):
        pixels, _ = take(here)
        if mirrored:
            pixels = tf.reverse(pixels, mirrored)
        if not layers:
            return pixels
        return augment(tf.cast(pixels, tf.float32), layers, _step_seeds(draw_seed, here[0]))

    return (
        tf.data.Dataset.from_tensor_slices(places)
        .batch(batch_size)
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(AHEAD)
    )


def _step_seeds(seed, step):
    """The seeds for the draws of one step."""
    pair = tf.stack([tf.cast(seed, tf.int64), step])
    return StepSeeds(tf.random.stateless_uniform([], pair, maxval=SEED_LIMIT, dtype=tf.int32))


def _taker(images):
    """A function from places to (images as stored, labels).

    Small arrays are copied into TensorFlow's memory; large ones, and files, are read when they are asked for.
    """
    labels = tf.constant(images.labels)
    if isinstance(images.pixels, np.ndarray) and images.pixels.nbytes <= COPIED_BYTES:
        pixels = tf.constant(images.pixels)
        return lambda places: (tf.gather(pixels, places), tf.gather(labels, places))

    def read(places):
        pixels = tf.numpy_function(
            lambda some: images.pixels[some], [places], tf.as_dtype(images.pixels.dtype), stateful=False
        )
        return tf.ensure_shape(pixels, (None, *images.shape)), tf.gather(labels, places)

    return read


def _targets(labels, classes, smoothing):
    return tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
