"""Cutting a flat graph in two: where that can be done, and what the parts cost.

    image -> ... trunk ... -> one tensor -> ... tail ... -> probabilities

Trunk and tail share their layers with the model they were cut from: whoever trains the tail trains the model.
"""

import keras
import numpy as np


def cuts(model):
    """The layers after which a model can be cut: their output is all that any later layer sees of what came before.

    Args:
        model: a flat `keras.Model` with one input.

    Returns:
        A list of layers, from the input on.

    Example:
        >>> image = keras.Input((4,), name="image")
        >>> wide = keras.layers.Dense(4, name="wide")(image)
        >>> both = keras.layers.Add(name="both")([image, wide])
        >>> [layer.name for layer in cuts(keras.Model(image, keras.layers.Dense(2, name="out")(both)))]
        ['image', 'both', 'out']
    """
    layers = model.layers
    place_of = {id(tensor): place for place, layer in enumerate(layers) for tensor in keras.tree.flatten(layer.output)}
    last_read = [0] * len(layers)
    for place, layer in enumerate(layers):
        for tensor in keras.tree.flatten(layer.input):
            producer = place_of[id(tensor)]
            last_read[producer] = max(last_read[producer], place)
    found, latest = [], 0  # latest: the last place that reads anything made before the present one
    for place, layer in enumerate(layers):
        if latest <= place and len(keras.tree.flatten(layer.output)) == 1:
            found.append(layer)
        latest = max(latest, last_read[place])
    return found


def split(model, layer):
    """Cut a model after a layer.

    Args:
        model: a flat `keras.Model`.
        layer: the name of one of `cuts(model)`.

    Returns:
        Two `keras.Model`: the trunk, from the image to the layer's output, and the tail, from there to the end.
    """
    tensor = model.get_layer(layer).output
    return keras.Model(model.input, tensor, name="trunk"), keras.Model(tensor, model.output, name="tail")


def tensors(model):
    """What each layer gives in a model, where `layer.output` is what it gave when it was first called, maybe in another model.

    Args:
        model: a `keras.Model` with a graph.

    Returns:
        A dict from the name of a layer to a symbolic tensor, for all that the first output is made of; of a layer that is called
        more than once, what it gives last.

    Example:
        >>> twice = keras.layers.Dense(2, name="twice")
        >>> image = keras.Input((2,), name="image")
        >>> model = keras.Model(image, twice(keras.layers.ReLU(name="positive")(twice(image))))
        >>> sorted(tensors(model)), tensors(model)["twice"] is model.outputs[0]
        (['image', 'positive', 'twice'], True)
    """
    found, seen, waiting = {}, set(), [model.outputs[0]]
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            layer, reads = made_by(tensor)
            found.setdefault(layer.name, tensor)
            waiting += reads
    return found


def made_by(tensor):
    """The layer that gave a symbolic tensor, and the tensors that it read."""
    layer, call, _ = tensor._keras_history
    return layer, layer._inbound_nodes[call].input_tensors


# What changes no number of an answer, only its shape or type.
THROUGH = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Dropout, keras.layers.Identity)
THROUGH_OPERATIONS = ("Cast", "Reshape", "Squeeze", "Identity")


def numbers_made_by(tensor):
    """As `made_by`, of the layer that gave a tensor its numbers: what reshapes, casts or drops after it is passed over.

    Example:
        >>> image = keras.Input((2,))
        >>> dense = keras.layers.Dense(2, name="dense")
        >>> numbers_made_by(keras.layers.Reshape((1, 2))(dense(image)))[0].name
        'dense'
    """
    layer, reads = made_by(tensor)
    while reads and _passes_on(layer):
        tensor = reads[0]
        layer, reads = made_by(tensor)
    return layer, reads, tensor._keras_history.tensor_index


def _passes_on(layer):
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    return isinstance(layer, THROUGH) or type(layer).__name__ in THROUGH_OPERATIONS


# An operation outside a layer -> the activation that it is.
OPERATIONS = {
    **{name.title().replace("_", ""): name for name in ("softmax", "sigmoid", "log_softmax", "tanh", "sparsemax")},
    "HardSigmoid": "hard_sigmoid",
}


def activation_of(tensor):
    """The name of the last activation that a symbolic tensor has gone through, or None where none can be seen.

    Example:
        >>> image = keras.Input((2,))
        >>> x = keras.layers.Dropout(0.5)(keras.layers.Dense(2, "softmax")(image))
        >>> activation_of(x), activation_of(image)
        ('softmax', None)
    """
    layer, _, place = numbers_made_by(tensor)
    while isinstance(layer, keras.Model):
        layer, _, place = numbers_made_by(layer.outputs[place])
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if not isinstance(layer, keras.layers.Layer):
        return OPERATIONS.get(type(layer).__name__)
    return getattr(getattr(layer, "activation", None), "__name__", None)


def multiply_adds(layers):
    """Multiplications with weights in a forward pass of one image: what convolutions and dense layers cost.

    Args:
        layers: of a model whose shapes are known.

    Returns:
        A whole number; normalisation, activations and pooling count nothing.
    """
    return sum(
        int(np.prod(weight.shape)) * int(np.prod([side or 1 for side in layer.output.shape[1:-1]]))
        for layer in layers
        if not isinstance(layer.output, (list, dict))
        for weight in layer.weights
        if len(weight.shape) > 1
    )
