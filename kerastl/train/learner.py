"""What learns in a phase: the whole model, or the part behind the frozen frontier with what the rest makes of the images.

model -> (at the phase's size) -> flags set -> trunk | tail;  images -> trunk, once -> features -> tail, every epoch
"""

import contextlib
import time
from dataclasses import dataclass, replace

import keras
import numpy as np

from kerastl.data.images import Images
from kerastl.model.cut import split
from kerastl.model.graph import FEATURES, at_size, copy_weights
from kerastl.schema import AugmentSpec
from kerastl.train.devices import mirrored
from kerastl.train.features import Pass, Trunk, cached_features, views_of
from kerastl.train.frontier import DRAWS, only_mixing
from kerastl.train.plan import is_batch_norm
from kerastl.train.precision import faster_precision


@dataclass(frozen=True)
class Learner:
    """What a phase works on.

    Args:
        model: what is compiled and fitted; it shares its layers with `whole`.
        whole: the model it is a part of: the one that was built, or a copy at the phase's image size.
        train, validation: `Images`: pixels, or features; `validation` may be None.
        views: versions of the training images in `train`, one after the other.
        augment: what is left to be done to a batch of `train`.
        precision: Keras policy of the steps.
        seconds: that making the features took.
    """

    model: keras.Model
    whole: keras.Model
    train: Images
    validation: Images | None
    views: int
    augment: AugmentSpec
    precision: str
    seconds: float = 0.0


def make_learner(model, data, recipe, phase_plan, seed):
    """Set up what a phase trains.

    Args:
        model: what `build_model` gave.
        data: `Data`.
        recipe: a `Recipe`.
        phase_plan: a `PhasePlan`; its flags are set on the model.
        seed: of the phase, for augmented views.

    Returns:
        A `Learner`; of the whole model where the plan caches nothing, or, with a warning, where there is no room.
    """
    learner = first_learner(model, data, recipe, phase_plan)
    with quieted(learner.whole, phase_plan.quiet):
        if phase_plan.frontier.cached:
            learner = _cached_learner(learner, recipe, phase_plan, seed)
        batch = learner.train.pixels[: recipe.train.batch_size]
        precision = faster_precision(phase_plan.precision, learner.model, batch, training=True)
    return replace(learner, precision=precision)


def first_learner(model, data, recipe, phase_plan):
    """The whole model at the phase's image size, its flags set, on pixels."""
    size = phase_plan.phase.image_size
    whole = at_size(model, size) if size else model
    apply(whole, phase_plan)
    return Learner(whole, whole, data.train, data.validation, 1, recipe.augment, "float32")


def behind_the_frontier(learner, tail, train, validation, recipe, views=1):
    """The learner that goes on where the trunk ends.

    Args:
        learner: what `first_learner` gave.
        tail: the part of the model behind the frontier.
        train, validation: `Images` of features; `validation` may be None.
        recipe: a `Recipe`.
        views: versions of the training images in `train`.
    """
    augment = only_mixing(recipe.augment)
    return replace(learner, model=tail, train=train, validation=validation, views=views, augment=augment)


def _cached_learner(learner, recipe, it, seed):
    """The tail and its features; the learner as it was where there is no room for them."""
    began = time.perf_counter()
    frozen, tail = frozen_part(learner, recipe, it)
    views = views_of(recipe.augment, seed, it.frontier.views)
    features = [cached_features(frozen, learner.train, views, title="features of train")]
    if learner.validation is not None and features[0] is not None:
        features.append(cached_features(frozen, learner.validation, title="features of validation"))
    if any(values is None for values in features):
        return learner
    train = Images(features[0], np.tile(learner.train.labels, len(views)))
    validation = learner.validation and replace(learner.validation, pixels=features[1])
    made = behind_the_frontier(learner, tail, train, validation, recipe, len(views))
    return replace(made, seconds=time.perf_counter() - began)


def frozen_part(learner, recipe, it):
    """The `Trunk` up to the frontier of a phase, and the part of the model behind it.

    Args:
        learner: what `first_learner` gave.
        recipe: a `Recipe`.
        it: a `PhasePlan`.
    """
    trunk, tail = split(learner.whole, it.frontier.layer or FEATURES)
    batch_size = recipe.train.evaluation_batch
    how = Pass(
        faster_precision(it.trunk_precision, trunk, learner.train.pixels[:batch_size], training=False),
        recipe.train.cache_dtype,
        recipe.train.cache_budget,
        batch_size,
        it.frontier.via,
    )
    return Trunk(trunk, how), tail


def on_devices(learner, phase_plan, strategy):
    """The learner whose steps a strategy spreads over devices; to be called in its scope.

    Args:
        learner: what `make_learner` gave.
        phase_plan: its `PhasePlan`.
        strategy: a `tf.distribute.Strategy`, or None: the learner as it is.
    """
    if strategy is None:
        return learner
    whole = mirrored(learner.whole)
    copy_weights(learner.whole, whole)
    apply(whole, phase_plan)
    tail = learner.model is not learner.whole
    return replace(learner, whole=whole, model=split(whole, phase_plan.frontier.layer)[1] if tail else whole)


def apply(model, phase_plan):
    """Set the trainable flags and batch normalisation momenta of a phase.

    A frozen BatchNormalization layer uses its moving statistics and leaves them as they are; Keras ties both to `trainable`.

    Args:
        model: the one that was planned, or a copy of it; compile it afterwards.
        phase_plan: a `PhasePlan`.
    """
    for layer in model.layers:
        layer.trainable = layer.name in phase_plan.trained
        if is_batch_norm(layer) and layer.name in phase_plan.momentum:
            layer.momentum = phase_plan.momentum[layer.name]


@contextlib.contextmanager
def quieted(model, names):
    """For the time of a `with` block, let some layers draw nothing, though the model trains.

    Keras runs dropout of a frozen layer as if it trained; only BatchNormalization knows that it is frozen.

    Args:
        model: a `keras.Model`.
        names: of layers whose class is in `DRAWS`.
    """
    layers = [(layer, DRAWS[type(layer).__name__]) for layer in map(model.get_layer, names)]
    before = [getattr(layer, attribute) for layer, attribute in layers]
    for layer, attribute in layers:
        setattr(layer, attribute, 0.0)
    try:
        yield
    finally:
        for (layer, attribute), value in zip(layers, before, strict=True):
            setattr(layer, attribute, value)
