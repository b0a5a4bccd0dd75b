"""One flat graph of what people save: a network within a network, a Sequential, one that ends in its classes."""

from dataclasses import dataclass

import keras

from kerastl.model.cut import activation_of, cuts, numbers_made_by

PROBABILITIES = "softmax", "sigmoid", "hard_sigmoid", "sparsemax", "log_softmax"  # activations that end a classifier


def inlined(model, taken=()):
    """The same model with the layers of the models in it, instead of these models.

    Args:
        model: a `keras.Model` with a graph and one input; models in it have one as well.
        taken: names that none of its layers may have.

    Returns:
        The model itself where it is a flat graph already; otherwise a new one, of copies of the layers with the same weights. A
        layer whose name is there twice is called MODEL_LAYER in it. `training`, which a tutorial gives a model that it calls, is
        left out: each phase says itself in which mode its layers are.

    Raises:
        ValueError: a model in it has no graph of layers, or there is an operation in it that no layer stands for.

    Example:
        >>> inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="inner")], name="net")
        >>> outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2, name="outer")])
        >>> [layer.name for layer in inlined(outer).layers[1:]]
        ['inner', 'outer']
    """
    if not isinstance(model, keras.Sequential) and _is_flat(model) and not {it.name for it in model.layers} & {*taken}:
        return model
    copies = {}
    first = model.inputs[0]
    image = keras.Input(first.shape[1:], dtype=first.dtype, name=first.name if first.name not in taken else None)
    flat = keras.Model(image, _again(model, image, "", _Copies(copies, frozenset(taken))), name=model.name)
    for layer, copy in copies.values():
        if getattr(layer, "weights", None):  # an operation has none
            copy.set_weights(layer.get_weights())
            copy.trainable = layer.trainable
    return flat


def without_classes(model):
    """A model cut before its head, where it ends in classes: in probabilities, or in a dense layer that gives logits.

    Args:
        model: a flat `keras.Model` with one input and one output.

    Returns:
        The model, or the part of it that ends at the last feature map before the layer that gives the classes (of a model without
        one, at what that layer reads); the name of the layer it ends at, None where nothing was cut; and what it ended in, or None.
    """
    layers = cuts(model)
    what = _ends_in(model.outputs[0])
    gives = [place for place, layer in enumerate(layers) if isinstance(layer, KERNELS)]
    if not what or not gives:
        return model, None, what
    place = {id(layer): number for number, layer in enumerate(model.layers)}
    learned = [place[id(it)] for it in model.layers if it.weights and not isinstance(it, keras.layers.Normalization)]
    before = [layer for layer in layers[: gives[-1]] if place[id(layer)] >= learned[0]]
    maps = [layer for layer in before if len(layer.output.shape) == 4]
    if not before:
        return model, None, what
    ends = (maps or before)[-1]
    return keras.Model(model.input, ends.output, name=model.name), ends.name, what


KERNELS = keras.layers.Dense, keras.layers.Conv2D  # what gives classes: a convolution may stand for a dense layer


def _is_plain(part):
    return isinstance(part, keras.layers.Layer) and not isinstance(part, keras.Model)


# What `preprocess_input` and arithmetic with pixels leave in a graph: an operation with a number, as scale and offset.
ARITHMETIC = {
    "TrueDivide": lambda number: (1 / number, 0.0),
    "Divide": lambda number: (1 / number, 0.0),
    "Multiply": lambda number: (number, 0.0),
    "Add": lambda number: (1.0, number),
    "Subtract": lambda number: (1.0, -number),
}
# Operations of two tensors, or of one, and the layers that do the same.
OF_TENSORS = {name: getattr(keras.layers, name) for name in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")}
ACTIVATIONS = {
    **{
        name.title().replace("_", ""): name
        for name in ("softmax", "sigmoid", "log_softmax", "tanh", "relu", "relu6", "silu")
    },
    "Gelu": "gelu",
}


def _as_layer(operation, *given, **how):
    """What an operation gives, by a layer."""
    kind, numbers = type(operation).__name__, [it for it in given if isinstance(it, int | float)]
    if kind in ARITHMETIC and not how and len(given) == 2 and given[1:] == tuple(numbers):
        scale, offset = ARITHMETIC[kind](given[1])
        return keras.layers.Rescaling(scale, offset)(given[0])
    if kind in OF_TENSORS and not how and len(given) == 2 and not numbers:
        return OF_TENSORS[kind]()(list(given))
    if kind in ACTIVATIONS and not how and len(given) == 1:
        return keras.layers.Activation(ACTIVATIONS[kind])(given[0])
    raise ValueError(f"{operation.name} is an operation outside a layer; expected layers, as Rescaling")


def _ends_in(tensor):
    """What a tensor is, probabilities or logits, or None where it is features."""
    activation = activation_of(tensor)
    if activation in PROBABILITIES:
        return "probabilities"
    last, _, _ = numbers_made_by(tensor)
    linear = isinstance(last, keras.layers.Dense) and activation == "linear" and len(tensor.shape) == 2
    return "logits" if linear else None


def _is_flat(model):
    """Whether a model has one tensor in, of any number of images, and layers alone, each called once."""
    alone = model.input is model.inputs[0] and model.inputs[0].shape[0] is None
    calls = sum(map(len, model._nodes_by_depth.values()))
    return alone and calls == len(model.operations) and all(_is_plain(part) for part in model.operations)


def _again(model, tensor, within, copies):
    """What a model gives of a tensor, called layer by layer."""

    def call(layer, *given, **how):
        if isinstance(layer, keras.Model):
            if len(given) != 1 or not hasattr(layer, "layers"):
                raise ValueError(f"{layer.name} is called on {len(given)} tensors; expected one")
            return _again(layer, given[0], f"{within}{layer.name}_", copies)
        if not isinstance(layer, keras.layers.Layer):
            return _as_layer(layer, *given, **how)
        how.pop("training", None)
        return _copy(layer, within, copies)(*given, **how)

    if isinstance(model, keras.Sequential):
        for layer in model.layers:
            tensor = call(layer, tensor)
        return tensor
    if not hasattr(model, "_run_through_graph"):
        raise ValueError(f"{model.name} has no graph of layers")
    found = model._run_through_graph(tensor, operation_fn=lambda layer: layer, call_fn=call)
    return found[0] if isinstance(found, list) and len(found) == 1 else found


@dataclass(frozen=True)
class _Copies:
    """The copies of layers so far, by the layer, and the names that none may have."""

    made: dict
    taken: frozenset


def _copy(layer, within, copies):
    """A layer of the same settings; its name is its own, unless it is taken. One that holds nothing is another one at every call."""
    key = (id(layer), 0 if layer.variables else len(copies.made))
    if key in copies.made:
        raise ValueError(f"{layer.name} is called more than once, with the same weights")
    taken = {copy.name for _, copy in copies.made.values()} | copies.taken
    name = layer.name if layer.name not in taken else f"{within}{layer.name}"
    while name in taken:
        name += "_"
    copies.made[key] = layer, type(layer).from_config({**layer.get_config(), "name": name})
    return copies.made[key][1]
