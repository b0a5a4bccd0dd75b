"""Layer groups: the parts of a model, from stem to head, that learn at one rate."""

import re

from kerastl.model import backbones
from kerastl.model.graph import FEATURES, INPUT_LAYERS

STATISTICS = {"moving_mean", "moving_variance", "mean", "variance", "count"}


def layer_groups(model, backbone):
    """Which layers belong to stem, stage1, stage2, ..., head.

    Every layer that has something to learn is in exactly one group. Groups that a cut backbone no longer has are left out.

    Args:
        model: what `build_model` gave.
        backbone: the recipe's `model.backbone`.

    Returns:
        A dict from group name, in the order of the graph, to the list of its layers.

    Example:
        >>> from kerastl.model.graph import build_model
        >>> from kerastl.schema import ModelSpec
        >>> model = build_model(ModelSpec("SmallCNN", weights="none", image_size=32), (32, 32, 3), classes=10)
        >>> list(layer_groups(model, "SmallCNN"))
        ['stem', 'stage1', 'stage2', 'stage3', 'stage4', 'head']
    """
    names = [layer.name for layer in model.layers]
    first_of_head = names.index(FEATURES) + 1
    body = [layer for layer in model.layers[:first_of_head] if layer.name not in INPUT_LAYERS]
    groups, start = {}, 0
    patterns = stage_ends(backbone)
    for place, pattern in enumerate(patterns):
        matches = [i for i, layer in enumerate(body) if re.fullmatch(pattern, layer.name)]
        if matches and matches[-1] >= start:
            groups[_stage(place)] = body[start : matches[-1] + 1]
            start = matches[-1] + 1
    rest = body[start:]
    if any(learnable(layer) for layer in rest):
        groups[_stage(len(patterns)) if patterns else "backbone"] = rest
    elif groups:
        groups[list(groups)[-1]] += rest
    return {**groups, "head": model.layers[first_of_head:]}


def stage_ends(backbone):
    """The patterns that close a backbone's stages, from the table; KerasHub's by family."""
    if backbone in backbones.TABLE:
        return backbones.TABLE[backbone].ends
    if backbone.startswith("hub:"):
        return next((ends for word, ends in backbones.KERAS_HUB_ENDS.items() if word in backbone), ())
    return ()


def learnable(layer):
    """The weights of a layer that a phase could train; moving statistics are not among them."""
    return [weight for weight in layer.weights if weight.name not in STATISTICS]


def _stage(place):
    return f"stage{place}" if place else "stem"
