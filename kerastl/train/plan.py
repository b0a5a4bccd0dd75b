"""The plan: for every phase, which layers learn, how fast and for how long. Inspection only; no weight is touched.

It is what `--dry-run` prints, what the golden tests freeze for every recipe, and what `fit` obeys.
"""

from dataclasses import dataclass

import keras
import numpy as np

from kerastl import strict
from kerastl.data.batches import steps_per_epoch
from kerastl.errors import RecipeError
from kerastl.model.graph import LOGITS, at_size
from kerastl.model.groups import learnable
from kerastl.schema import LastLayers, Phase
from kerastl.train.frontier import Frontier, find_frontier, quiet_layers

# What rates are multiplied by, for the images in a step. The rates of a recipe that says "linear" are those of a batch of 64.
SCALINGS = {"none": lambda batch: 1.0, "linear": lambda batch: batch / 64}


@dataclass(frozen=True)
class GroupPlan:
    """What one group of layers does in a phase.

    Args:
        name: stem, stage1, ..., head.
        layers: layers with something to learn, batch normalisation included.
        trained: names of those that learn in this phase.
        parameters: numbers that learn in this phase.
        frozen_parameters: numbers that could learn and do not.
        learning_rate: the highest rate of the schedule; None where nothing learns, or where it is solved.
    """

    name: str
    layers: int
    trained: tuple[str, ...]
    parameters: int
    frozen_parameters: int
    learning_rate: float | None


@dataclass(frozen=True)
class PhasePlan:
    """What happens in a phase.

    Args:
        phase: the recipe's.
        epochs: after `train.epochs_scale`.
        steps_per_epoch: batches in one.
        groups: from stem to head.
        momentum: of the moving statistics of each BatchNormalization layer that is updated, by layer name.
        quiet: names of the layers of frozen groups that would draw (dropout) and do not.
        frontier: how far into the graph nothing changes, and whether what comes out there is cached.
        batch_scale: what the rates were multiplied by for the size of the batch.
        precision: of the training steps; `auto` is measured when the phase begins.
        trunk_precision: of the pass through what is still.
        warnings: what will be done as asked, and is probably not what was wanted.
    """

    phase: Phase
    epochs: int
    steps_per_epoch: int
    groups: tuple[GroupPlan, ...]
    momentum: dict[str, float]
    quiet: tuple[str, ...]
    frontier: Frontier
    batch_scale: float
    precision: str
    trunk_precision: str
    warnings: tuple[str, ...] = ()

    @property
    def steps(self):
        return self.epochs * self.steps_per_epoch

    @property
    def trained(self):
        """The names of all layers that learn."""
        return {name for group in self.groups for name in group.trained}

    @property
    def rates(self):
        """The learning rate of each group that learns."""
        return {group.name: group.learning_rate for group in self.groups if group.trained}


def plan(model, groups, recipe, images):
    """Decide, for every phase, what every layer does.

    Args:
        model: what `build_model` gave.
        groups: what `layer_groups` gave for it.
        recipe: a `Recipe`.
        images: how many there are (to train on, to validate on).

    Returns:
        A list with a `PhasePlan` for each phase.

    Raises:
        RecipeError: a phase names a group that the model has not, rates that do not match what it trains, or more layers
            than there are.

    Example:
        >>> from kerastl.model.graph import build_model
        >>> from kerastl.model.groups import layer_groups
        >>> from kerastl.recipe import recipe
        >>> small = {"model.backbone": "SmallCNN", "model.weights": "none", "model.image_size": 32}
        >>> spec = recipe("cifar10-freeze-first", **small)
        >>> model = build_model(spec.model, (32, 32, 3), classes=10)
        >>> [it.steps for it in plan(model, layer_groups(model, "SmallCNN"), spec, (640, 64))]
        [40, 20]
    """
    plans = []
    for phase in reversed(recipe.phases):  # what a later phase caches may be on the way of an earlier one
        plans.insert(0, _plan_phase(model, groups, recipe, phase, images, plans))
    return plans


def _plan_phase(model, groups, recipe, phase, images, later):
    steps, epochs = 1, 1  # a solved head
    if not phase.solve:
        steps = steps_per_epoch(images[0], recipe.train.batch_size, recipe.data.repeat)
        epochs = max(1, round(phase.epochs * recipe.train.epochs_scale))
    chosen = _chosen(model, groups, phase)
    if phase.solve and [layer.name for layer in chosen] != [LOGITS]:
        raise RecipeError(
            f"phase {phase.name!r}: solve: the head has {len(chosen)} layers that learn; expected one, that is no model.head.widths"
        )
    if phase.batch_norm == "freeze":
        chosen = [layer for layer in chosen if not is_batch_norm(layer)]
    names = {layer.name for layer in chosen}
    trained_groups = [name for name, layers in groups.items() if any(layer.name in names for layer in layers)]
    rates, batch_scale = (
        _rates(phase, trained_groups, groups),
        SCALINGS[recipe.train.lr_scaling](recipe.train.batch_size),
    )
    scale = recipe.train.learning_rate_scale * batch_scale
    group_plans = []
    for name, layers in groups.items():
        able = [layer for layer in layers if learnable(layer)]
        trained = tuple(layer.name for layer in able if layer.name in names)
        sizes = {layer.name: sum(int(np.prod(weight.shape)) for weight in learnable(layer)) for layer in able}
        parameters = sum(sizes[layer] for layer in trained)
        rate = rates[name] * scale if trained and rates else None
        group_plans.append(GroupPlan(name, len(able), trained, parameters, sum(sizes.values()) - parameters, rate))
    updated = [layer for layer in chosen if is_batch_norm(layer)]
    quiet = quiet_layers(groups, names)
    sized = at_size(model, phase.image_size) if phase.image_size else model
    precision = phase.precision or recipe.train.precision
    trunk_precision = recipe.train.trunk_precision or precision
    alike = _seen_alike(names, phase.image_size, trunk_precision, later)
    return PhasePlan(
        phase=phase,
        epochs=epochs,
        steps_per_epoch=steps,
        groups=tuple(group_plans),
        momentum={layer.name: _momentum(layer, phase, epochs * steps) for layer in updated},
        quiet=quiet,
        frontier=find_frontier(sized, names, quiet, recipe, None if phase.solve else epochs, images, alike),
        batch_scale=batch_scale,
        precision=precision,
        trunk_precision=trunk_precision,
        warnings=_warnings(phase, updated),
    )


def _seen_alike(trained, image_size, trunk_precision, later):
    """The frontiers of later phases where this one finds the same features: nothing before them learns until then."""
    trained, frontiers = set(trained), []
    for it in later:
        same = (it.phase.image_size, it.trunk_precision) == (image_size, trunk_precision)
        frontiers += [it.frontier] if same and not trained & set(it.frontier.trunk) else []
        trained |= it.trained
    return frontiers


def _chosen(model, groups, phase):
    """The layers a phase names, as far as they have something to learn."""
    trainable = phase.trainable
    if isinstance(trainable, LastLayers):
        return _last_layers(groups, trainable.last_layers, phase)
    names = (
        {"all": tuple(groups), "head": ("head",)}.get(trainable, trainable) if isinstance(trainable, str) else trainable
    )
    for name in names:
        if name not in groups:
            raise RecipeError(
                f"phase {phase.name!r}: trainable: the model has no group {name!r}; {strict.suggest(name, groups)}"
            )
    return [layer for name in names for layer in groups[name] if learnable(layer)]


def _last_layers(groups, count, phase):
    """The last weight-bearing layers in the order of the graph; each BatchNormalization goes with its convolution."""
    layers = [layer for members in groups.values() for layer in members]
    bearing = [layer for layer in layers if learnable(layer) and not is_batch_norm(layer)]
    if count > len(bearing):
        raise RecipeError(
            f"phase {phase.name!r}: last_layers: found {count}; the model has {len(bearing)} weight-bearing layers"
        )
    last = {layer.name for layer in bearing[-count:]}
    producers = {id(layer.output): layer for layer in layers if not isinstance(layer.output, (list, dict))}
    owners = {layer.name: _owner(layer, layers, producers) for layer in layers if is_batch_norm(layer)}
    return [layer for layer in layers if learnable(layer) and owners.get(layer.name, layer.name) in last]


def _owner(batch_norm, layers, producers):
    """The layer whose output is normalised; before the first convolution of a pre-activation block, the one before."""
    layer = batch_norm
    while layer is not None and (is_batch_norm(layer) or not learnable(layer)):
        layer = None if isinstance(layer.input, (list, dict)) else producers.get(id(layer.input))
    if layer is not None:
        return layer.name
    before = layers[: layers.index(batch_norm)]
    return next((other.name for other in reversed(before) if learnable(other) and not is_batch_norm(other)), None)


def _rates(phase, trained_groups, groups):
    if phase.solve:
        return {}
    rates = phase.optimizer.learning_rate
    if not isinstance(rates, dict):
        return dict.fromkeys(trained_groups, rates)
    for name in rates:
        if name not in groups:
            raise RecipeError(
                f"phase {phase.name!r}: learning_rate: the model has no group {name!r}; {strict.suggest(name, groups)}"
            )
    if set(rates) != set(trained_groups):
        raise RecipeError(
            f"phase {phase.name!r}: learning_rate: found rates for {', '.join(rates)}; "
            f"expected one for each group that learns: {', '.join(trained_groups)}"
        )
    return rates


def is_batch_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def _warnings(phase, updated):
    folded = [layer.name for layer in updated if _is_folded(layer)]
    if not folded:
        return ()
    return (
        f"phase {phase.name!r}: batch_norm = 'update', but the statistics of {len(folded)} BatchNormalization layers "
        f"({folded[0]}, ...) were folded into the weights around them: normalising by batches again undoes what these weights "
        "learned. Set batch_norm = 'freeze' in this phase, or load weights that were not folded",
    )


def _is_folded(layer):
    """Neutral statistics with a trained offset: somebody merged the normalisation into the convolution for speed."""
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    offset = np.asarray(layer.beta) if layer.center else np.zeros(1)
    return bool(offset.any() and not mean.any() and np.ptp(variance) < 1e-6)


def _momentum(layer, phase, steps):
    """A momentum with which the moving statistics have left their start behind within the phase.

    After n steps the start still weighs momentum ** n: with 0.999, as keras.applications' MobileNets have it, 0.6 of it is
    left after 500 steps, and validation stays at chance. `auto` leaves at most exp(-20), with at least two and at most a
    hundred steps of memory, and never more than the layer's own.
    """
    if phase.batch_norm_momentum != "auto":
        return phase.batch_norm_momentum
    return round(min(layer.momentum, 0.99, max(0.5, 1 - 20 / steps)), 4)
