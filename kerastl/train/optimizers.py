"""The optimizer of a phase: one, or one for each learning rate."""

import keras

from kerastl.train.schedules import make_schedule

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "lion": keras.optimizers.Lion,
}


def make_optimizers(phase_plan):
    """A fresh Keras optimizer for each group that learns; groups with the same rate share one.

    Args:
        phase_plan: a `PhasePlan`.

    Returns:
        A dict from group name to optimizer.
    """
    by_rate = {rate: _make(phase_plan, rate) for rate in dict.fromkeys(phase_plan.rates.values())}
    return {group: by_rate[rate] for group, rate in phase_plan.rates.items()}


def combine(optimizers, model, groups):
    """What `compile` takes: the only optimizer, or Keras' MultiOptimizer with every variable assigned by its path.

    Args:
        optimizers: what `make_optimizers` gave.
        model: the whole one, or the part that is trained, with the trainable flags of the phase already set.
        groups: what `layer_groups` gave.

    Returns:
        A Keras optimizer.
    """
    distinct = list({id(optimizer): optimizer for optimizer in optimizers.values()}.values())
    if len(distinct) == 1:
        return distinct[0]
    group_of = {layer.name: group for group, layers in groups.items() for layer in layers}
    assigned = {
        variable.path: optimizers[group_of[layer.name]]
        for layer in model.layers
        if layer.name in group_of
        for variable in layer.trainable_variables
    }
    forgotten = [variable.path for variable in model.trainable_variables if variable.path not in assigned]
    assert not forgotten, f"variables in no layer group: {forgotten}"
    return keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(distinct[-1], assigned))


def rates_now(optimizers):
    """The learning rate that each group has at this step.

    Args:
        optimizers: what `make_optimizers` gave; on any devices.
    """
    return {group: float(keras.ops.convert_to_numpy(it.learning_rate)) for group, it in optimizers.items()}


def _make(phase_plan, rate):
    spec, phase = phase_plan.phase.optimizer, phase_plan.phase
    arguments = {"learning_rate": make_schedule(phase.schedule, rate, phase_plan.epochs, phase_plan.steps_per_epoch)}
    if spec.name in ("sgd", "rmsprop"):
        arguments["momentum"] = spec.momentum
    if spec.nesterov:
        arguments["nesterov"] = True
    if spec.weight_decay:
        arguments["weight_decay"] = spec.weight_decay
    if spec.clip_norm:
        arguments["global_clipnorm"] = spec.clip_norm
    if spec.ema:
        arguments.update(use_ema=True, ema_momentum=spec.ema)
    return OPTIMIZERS[spec.name](**arguments)
