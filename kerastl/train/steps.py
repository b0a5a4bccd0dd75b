"""The steps of a phase: their batches, how they are weighted, spread over devices, and run several at a call."""

import numpy as np
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from kerastl.data.batches import evaluation_batches, even_batches, steps_per_epoch, training_batches
from kerastl.model.cut import multiply_adds
from kerastl.train.devices import check_batches, spread

CALL = 4 * 10**9  # multiplications after which Python may look again: some tenths of a second


def phase_batches(learner, data, recipe, it, number, first_step=0, strategy=None):
    """The training steps of a phase from one on, and its validation steps, which may be None.

    Args:
        learner: a `Learner`.
        data: `Data`.
        recipe: a `Recipe`.
        it: a `PhasePlan`.
        number: of the phase, from 0: what is drawn depends on it.
        first_step: where to begin, counted over the whole phase.
        strategy: of the devices that share every batch, or None.
    """
    classes = len(data.class_names)
    train = training_batches(
        learner.train,
        classes,
        recipe.train.batch_size,
        it.epochs,
        seed=[recipe.seed, number],
        repeat=recipe.data.repeat,
        augment_spec=learner.augment,
        label_smoothing=recipe.train.label_smoothing,
        first_step=first_step,
        views=learner.views,
    )
    if recipe.train.class_weights == "balanced":
        train = _weighted(train, data.train.labels, classes)
    validate, batch = learner.validation, recipe.train.evaluation_batch
    if strategy is None:
        return train, None if validate is None else evaluation_batches(validate, classes, batch)
    check_batches(len(data.train) * recipe.data.repeat, it.steps_per_epoch, strategy.num_replicas_in_sync)
    train = spread(train, strategy, training=True)
    if validate is None:
        return train, None
    check_batches(len(validate), validation_steps(learner, recipe), strategy.num_replicas_in_sync)
    return train, spread(even_batches(validate, classes, batch), strategy, training=False)


def validation_steps(learner, recipe):
    """Steps of one pass over the validation images."""
    return steps_per_epoch(len(learner.validation), recipe.train.evaluation_batch)


def steps_per_call(model, batch_size, steps):
    """Small steps are run many at a time, or Python would take longer than they do.

    A divisor of the epoch: Keras runs all the steps of a call, also those beyond the end of the epoch.
    """
    most = CALL // max(1, 3 * batch_size * multiply_adds(model.layers))
    return max((n for n in range(1, steps + 1) if steps % n == 0 and n <= most), default=1)


def _weighted(batches, labels, classes):
    """Rare classes weigh as much as frequent ones; a mixed image weighs as the class it shows most of."""
    present = np.unique(labels)
    weights = np.zeros(classes, "float32")
    weights[present] = compute_class_weight("balanced", classes=present, y=labels)
    return batches.map(lambda images, targets: (images, targets, tf.gather(weights, tf.argmax(targets, axis=1))))
