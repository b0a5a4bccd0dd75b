"""`.h5` files that Keras 2 wrote: settings that are no more in Keras 3, left out where they say what is so in any case."""

ANY = object()
WITHOUT_GROUPS = {"groups": 1}
SEPARABLE = {**WITHOUT_GROUPS, "kernel_initializer": ANY, "kernel_regularizer": None, "kernel_constraint": None}
# Class -> setting -> the value that means what Keras 3 does without it. Another value stays, and Keras refuses it.
NO_MORE = {
    "DepthwiseConv1D": WITHOUT_GROUPS,
    "DepthwiseConv2D": WITHOUT_GROUPS,
    "Conv1DTranspose": WITHOUT_GROUPS,
    "Conv2DTranspose": WITHOUT_GROUPS,
    "Conv3DTranspose": WITHOUT_GROUPS,
    "SeparableConv1D": SEPARABLE,
    "SeparableConv2D": SEPARABLE,
    "BatchNormalization": {"renorm": False, "fused": ANY, "virtual_batch_size": None, "adjustment": None},
}
# Operations that stand in the graph as layers, which Keras 3 knows no more.
OF_KERAS2 = r"found (TFOpLambda|SlicingOpLambda|ClassMethod|InstanceProperty|TensorFlowOpLayer)\b"
# Those of `preprocess_input` and its likes, with a number: scale and offset of the Rescaling that is the same.
ARITHMETIC = {
    "math.truediv": lambda number: (1 / number, 0.0),
    "math.divide": lambda number: (1 / number, 0.0),
    "math.multiply": lambda number: (number, 0.0),
    "math.subtract": lambda number: (1.0, -number),
    "math.add": lambda number: (1.0, number),
    "__operators__.add": lambda number: (1.0, number),
}
REMEDY = (
    "it was saved by Keras 2: where that can open it (pip install tf_keras; tf_keras.models.load_model), model.export(FOLDER) writes a "
    "SavedModel, with which kerastl answers"
)


def is_keras2(version):
    """Whether a file's `keras_version` is of Keras 2 or before it."""
    return bool(version) and version.split(".")[0] in ("1", "2")


def as_keras3(config):
    """The config of a model without the settings of `NO_MORE`, and with layers for the operations of `ARITHMETIC`.

    Args:
        config: what JSON gave.

    Example:
        >>> as_keras3({"class_name": "DepthwiseConv2D", "config": {"groups": 1, "strides": [2, 2]}})
        {'class_name': 'DepthwiseConv2D', 'config': {'strides': [2, 2]}}
    """
    if isinstance(config, list):
        return [as_keras3(item) for item in config]
    if not isinstance(config, dict):
        return config
    made = _as_rescaling({key: as_keras3(value) for key, value in config.items()})
    no_more = NO_MORE.get(made["class_name"], {}) if isinstance(made.get("class_name"), str) else {}
    if no_more and isinstance(made.get("config"), dict):
        made["config"] = {
            key: value
            for key, value in made["config"].items()
            if key not in no_more or (no_more[key] is not ANY and no_more[key] != value)
        }
    return made


def _as_rescaling(layer):
    """A layer's config; of an operation with a number, that of the Rescaling that does the same."""
    match layer:
        case {
            "class_name": "TFOpLambda",
            "config": {"name": str(name), "function": str(function)},
            "inbound_nodes": [[str(source), int(node), int(place), {"y": int(number) | float(number), **more}]],
        } if function in ARITHMETIC and set(more) <= {"name"} and (number or "div" not in function):
            scale, offset = ARITHMETIC[function](number)
            settings = {"name": name, "trainable": True, "dtype": "float32", "scale": scale, "offset": offset}
            calls = [[[source, node, place, {}]]]
            return {**layer, "class_name": "Rescaling", "config": settings, "inbound_nodes": calls}
    return layer
