"""Folding: the same frozen network with its BatchNormalization merged into the layers before it.

At inference a BatchNormalization is a scale and an offset for each channel, which the convolution before it can take up
(Jacob et al. 2018, section 3.2). What is left runs as one fused operation where it was three passes over memory.
"""

import keras
import numpy as np

# How a layer's kernel is scaled for each channel it gives: the index of the kernel among the weights, and the scale's shape.
FOLDABLE = {
    "Dense": lambda kernel: (0, (-1,)),
    "Conv2D": lambda kernel: (0, (-1,)),
    "DepthwiseConv2D": lambda kernel: (0, kernel.shape[2:]),
    "SeparableConv2D": lambda kernel: (1, (-1,)),
}


def fold(model):
    """A copy of a network for inference, without the BatchNormalization layers that could be merged.

    Args:
        model: a flat `keras.Model`.

    Returns:
        A `keras.Model` that gives the same to float tolerance, with weights of its own.
    """
    pairs = _pairs(model)  # from the name of a BatchNormalization layer to the layer that takes it up
    hosts = {host.name for host in pairs.values()}

    def clone(layer):
        changed = {"use_bias": True} if layer.name in hosts else {}
        return type(layer).from_config({**layer.get_config(), **changed})

    def call(layer, *arguments, **keywords):
        return arguments[0] if layer.name in pairs else layer(*arguments, **keywords)

    folded = keras.models.clone_model(model, clone_function=clone, call_function=call)
    merged = {host.name: _merge(host, model.get_layer(norm)) for norm, host in pairs.items()}
    for layer in folded.layers:
        if layer.weights:
            layer.set_weights(merged.get(layer.name) or model.get_layer(layer.name).get_weights())
    return folded


def _pairs(model):
    """Each BatchNormalization whose input comes from a linear layer that nothing else reads, with that layer."""
    producers = {id(layer.output): layer for layer in model.layers if not isinstance(layer.output, (list, dict))}
    readers = [id(tensor) for layer in model.layers for tensor in keras.tree.flatten(layer.input)]
    readers += [id(tensor) for tensor in model.outputs]
    pairs = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, len(layer.output.shape) - 1):
            host = producers.get(id(layer.input))
            linear = type(host).__name__ in FOLDABLE and host.activation is keras.activations.linear
            if linear and readers.count(id(host.output)) == 1:
                pairs[layer.name] = host
    return pairs


def _merge(host, norm):
    """The weights of a layer that does the work of the normalisation after it, bias last."""
    weights = host.get_weights()
    offset = weights.pop() if host.use_bias else 0.0
    named = {weight.name: np.asarray(weight) for weight in norm.weights}
    scale = named.get("gamma", 1.0) / np.sqrt(named["moving_variance"] + norm.epsilon)
    place, shape = FOLDABLE[type(host).__name__](weights[0])
    weights[place] = weights[place] * scale.reshape(shape)
    return [*weights, (offset - named["moving_mean"]) * scale + named.get("beta", 0.0)]
