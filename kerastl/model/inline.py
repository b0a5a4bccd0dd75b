"""One flat graph of what people save: a network within a network, a Sequential, one that ends in its classes."""

import keras

from kerastl.model.cut import cuts

CLASSES = ("softmax", "sigmoid", "hard_sigmoid", "log_softmax")  # activations that end a classifier


def inlined(model):
    """The same model with the layers of the models in it, instead of these models.

    Args:
        model: a `keras.Model` with a graph and one input; models in it have one as well.

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
    parts = model.layers if isinstance(model, keras.Sequential) else model.operations
    if not isinstance(model, keras.Sequential) and all(_is_plain(part) for part in parts):
        return model
    copies = {}
    image = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype, name=model.inputs[0].name)
    flat = keras.Model(image, _again(model, image, "", copies), name=model.name)
    for layer, copy in copies.values():
        if getattr(layer, "weights", None):  # an operation has none
            copy.set_weights(layer.get_weights())
            copy.trainable = layer.trainable
    return flat


def without_classes(model):
    """A model cut before its head, where it ends in classes: in their probabilities, or in the logits of a dense layer.

    Args:
        model: a flat `keras.Model` with one input and one output.

    Returns:
        The model, or the part of it that ends at its last feature map (of a model without one, at what its last dense layer
        reads), and the name of the layer it ends at; None where nothing was cut.
    """
    layers = cuts(model)
    if len(model.outputs[0].shape) != 2 or not layers or not _ends_in_classes(layers):
        return model, None
    maps = [layer for layer in layers[:-1] if len(layer.output.shape) == 4 and not _is_input(layer)]
    dense = [place for place, layer in enumerate(layers) if isinstance(layer, keras.layers.Dense)]
    ends = maps[-1] if maps else layers[dense[-1] - 1] if dense and dense[-1] else layers[0]
    if _is_input(ends):
        return model, None
    return keras.Model(model.input, ends.output, name=model.name), ends.name


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


def _as_layer(operation, *given, **how):
    """What an operation gives, by a layer."""
    kind = type(operation).__name__
    if kind not in ARITHMETIC or how or len(given) != 2 or not isinstance(given[1], int | float):
        raise ValueError(f"{operation.name} is an operation outside a layer; expected layers, as Rescaling")
    scale, offset = ARITHMETIC[kind](given[1])
    return keras.layers.Rescaling(scale, offset)(given[0])


def _is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)


def _ends_in_classes(layers):
    """Whether the last layer but those that only reshape gives probabilities, or is a dense one that gives logits."""
    last = next((it for it in reversed(layers) if not isinstance(it, SHAPES)), None)
    activation = getattr(getattr(last, "activation", None), "__name__", "")
    logits = isinstance(last, keras.layers.Dense) and activation == "linear"
    return isinstance(last, keras.layers.Softmax) or activation in CLASSES or logits


SHAPES = keras.layers.Reshape, keras.layers.Flatten, keras.layers.Dropout


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


def _copy(layer, within, copies):
    """A layer of the same settings, once for each layer; its name is its own, unless it is taken."""
    if id(layer) not in copies:
        config = layer.get_config()
        taken = {copy.name for _, copy in copies.values()}
        name = layer.name if layer.name not in taken else f"{within}{layer.name}"
        while name in taken:
            name += "_"
        copies[id(layer)] = layer, type(layer).from_config({**config, "name": name})
    return copies[id(layer)][1]
