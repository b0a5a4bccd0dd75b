"""Files that Keras 2 wrote, as Keras 3 reads them: settings and names that changed, and TensorFlow functions that layers stand for.

What is said in another way is said in the new one; what is no more is left out where it says what is so in any case. All else stays,
and Keras refuses it.
"""

from contextlib import contextmanager

from kerastl.errors import UntrustedFile
from kerastl.model.inline import ARITHMETIC

ANY = object()
WITHOUT_GROUPS = {"groups": 1}
SEPARABLE = {**WITHOUT_GROUPS, "kernel_initializer": ANY, "kernel_regularizer": None, "kernel_constraint": None}
RECURRENT = {"time_major": False, "implementation": ANY}
RANDOM = "RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom"
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
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "LSTMCell", "GRUCell"), RECURRENT),
    **{name: {"rng_type": ANY} for name in RANDOM.split()},
    **{f"SpatialDropout{sides}D": {"trainable": ANY, "noise_shape": None} for sides in (1, 2, 3)},
}
# Class -> its name in Keras 3, and the settings that have another name there.
RENAMED = {
    "BatchNormalizationV1": ("BatchNormalization", {}),
    "BatchNormalizationV2": ("BatchNormalization", {}),
    "SyncBatchNormalization": ("BatchNormalization", {}),
    "ThresholdedReLU": ("ReLU", {"theta": "threshold"}),
    "LeakyReLU": ("LeakyReLU", {"alpha": "negative_slope"}),
}
MODELS = {"Functional": "keras.src.models.functional", "Model": "keras", "Sequential": "keras"}
POLICIES = ("Policy", "PolicyV1", "PolicyV2")
REMEDY = (
    "it was saved by Keras 2: where that can open it (pip install tf_keras; tf_keras.models.load_model), model.export(FOLDER) writes a "
    "SavedModel, with which kerastl answers"
)


# A function of TensorFlow on a tensor and a number -> the operation of Keras 3 that does the same.
WITH_NUMBER = {
    "math.truediv": "TrueDivide",
    "math.divide": "Divide",
    "math.multiply": "Multiply",
    "math.subtract": "Subtract",
    "math.add": "Add",
    "__operators__.add": "Add",
}
WITH_TENSOR = {
    "math.multiply": "Multiply",
    "math.subtract": "Subtract",
    "math.add": "Add",
    "__operators__.add": "Add",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
}
ALONE = {f"nn.{name}": name for name in ("relu", "relu6", "sigmoid", "tanh", "softmax", "silu", "swish", "elu", "selu")}
ALONE |= {
    "math.sigmoid": "sigmoid",
    "math.tanh": "tanh",
    "identity": "linear",
    "cast": "linear",
    "stop_gradient": "linear",
}
MEANS = ([1, 2], [2, 1], [-3, -2], [-2, -3])
REVERSED = [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]  # x[..., ::-1]


def is_keras2(version):
    """Whether a file's `keras_version` is of Keras 2 or before it."""
    return bool(version) and version.split(".")[0] in ("1", "2")


@contextmanager
def remedied(keras2):
    """What is said of a file of Keras 2 that cannot be read ends with what can be done."""
    try:
        yield
    except UntrustedFile as error:
        if not keras2:
            raise
        raise UntrustedFile(f"{error}; {REMEDY}") from None


def as_keras3(config):
    """The config of a model as Keras 3 has it.

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
    made = {key: as_keras3(value) for key, value in _with_input(config).items()}
    name, inner = made.get("class_name"), made.get("config")
    if not isinstance(name, str) or not isinstance(inner, dict):
        return _graph(made)
    if name in POLICIES and isinstance(inner.get("name"), str):
        return inner["name"]
    if name in ("TFOpLambda", "SlicingOpLambda"):
        return _layer_for(made)
    name, renamed = RENAMED.get(name, (name, {}))
    inner = {renamed.get(key, key): value for key, value in inner.items()}
    if name != "InputLayer":
        inner.pop("batch_input_shape", None)
    no_more = NO_MORE.get(name, {})
    inner = {
        key: value
        for key, value in inner.items()
        if key not in no_more or (no_more[key] is not ANY and no_more[key] != value)
    }
    axis = inner.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        inner["axis"] = axis[0]
    made |= {"class_name": name, "config": inner}
    if name in MODELS and made.get("module") is not None:
        made |= {"module": MODELS[name], "registered_name": name}
    return _plainly_named(made)


def _with_input(model):
    """A Sequential that begins with an InputLayer, where its first layer said what it takes."""
    inner = model.get("config")
    inner = {"name": "sequential", "layers": inner} if isinstance(inner, list) else inner  # as before Keras 2.2.3
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if model.get("class_name") != "Sequential" or not isinstance(layers, list) or not layers:
        return model
    first = layers[0].get("config") if isinstance(layers[0], dict) else None
    if isinstance(first, dict) and "batch_input_shape" in first and layers[0]["class_name"] != "InputLayer":
        taken = {
            "batch_input_shape": first["batch_input_shape"],
            "dtype": "float32",
            "name": f"{first.get('name')}_input",
        }
        layers = [{"class_name": "InputLayer", "config": taken}, *layers]
    return {**model, "config": {**inner, "layers": layers}}


def _plainly_named(layer):
    """A layer whose name has no slash, which Keras 3 takes for the end of a scope."""
    named = {"name": _plain(layer["name"])} if "name" in layer else {}
    inner = layer["config"]
    return {**layer, **named, "config": {**inner, "name": _plain(inner["name"])} if "name" in inner else inner}


def _plain(name):
    return name.replace("/", "_") if isinstance(name, str) else name


def _graph(model):
    """The inside of a model: calls and ends by the plain names of layers, and by the numbers that calls have in Keras 3."""
    layers = model.get("layers")
    if not isinstance(layers, list):
        return model
    calls = [it for layer in layers if isinstance(layer, dict) for it in _references(layer.get("inbound_nodes"))]
    calls += [it for key in ("input_layers", "output_layers") for it in _references(model.get(key))]
    models = {it.get("name") for it in layers if isinstance(it, dict) and it.get("class_name") in MODELS}
    first = {}
    for name, number, *_ in calls:
        if _plain(name) in models:  # its own inside was the first call in Keras 2
            first[name] = min(first.get(name, number), number)
    for call in calls:
        call[1] -= min(1, first.get(call[0], 0))
        call[0] = _plain(call[0])
    alone = {key: model[key][0] for key in ("input_layers", "output_layers") if len(_references(model.get(key))) == 1}
    return {
        **model,
        **{key: end for key, end in alone.items() if isinstance(end, list)},
    }  # one tensor, and no list of one


def _references(nodes):
    """The lists [layer, call, output, ...] in what a layer is called on, to be changed in place."""
    rest, found = [nodes], []
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int:
                found.append(value)
            rest += value
        elif isinstance(value, dict):
            rest += value.values()
    return found


def _layer_for(layer):
    """A layer of Keras 3 in the place of a function of TensorFlow; the same, where there is none."""
    function, nodes, name = layer["config"].get("function"), layer.get("inbound_nodes"), _plain(layer.get("name"))
    calls = [_call(node) for node in nodes] if isinstance(nodes, list) else [None]
    if None in calls or len(calls) != 1:  # of several calls each may have numbers of its own
        return layer
    [(tensor, how)] = calls
    found, others = None, []
    if function == "__operators__.getitem" and how.get("slice_spec") == REVERSED:
        operation = {"module": "keras.src.ops.numpy", "class_name": "Flip", "registered_name": "Flip"}
        return {**operation, "config": {"axis": -1, "name": name}, "name": name, "inbound_nodes": [[[*tensor, {}]]]}
    other, rest = how.get("y"), {key: value for key, value in how.items() if key not in ("y", "name")}
    if function in WITH_NUMBER and type(other) in (int, float) and not rest and (other or "div" not in function):
        scale, offset = ARITHMETIC[WITH_NUMBER[function]](other)
        found = "Rescaling", {"scale": scale, "offset": offset}
    elif function in WITH_TENSOR and _references([other]) == [other] and not rest:
        found, others = (WITH_TENSOR[function], {}), [[*other[:3], {}]]
    elif function == "nn.bias_add" and isinstance(how.get("bias"), list) and how.get("data_format") in (None, "NHWC"):
        found = "Rescaling", {"scale": 1.0, "offset": how["bias"]}
    elif function in ALONE and how.get("axis") in (None, -1) and how.get("dtype", "float32") == "float32":
        found = "Activation", {"activation": ALONE[function]}
    elif function == "math.reduce_mean" and how.get("axis") in MEANS:
        found = "GlobalAveragePooling2D", {"keepdims": bool(how.get("keepdims"))}
    if found is None:
        return layer
    inner = {"name": name, "dtype": layer["config"].get("dtype", "float32"), **found[1]}
    return {"class_name": found[0], "config": inner, "name": name, "inbound_nodes": [[[*tensor, {}], *others]]}


def _call(node):
    """What a function is called on, [layer, call, output], and its other arguments; None where that is something else."""
    if not isinstance(node, list) or len(node) != 4 or not isinstance(node[3], dict) or _references([node[:3]]) == []:
        return None
    return node[:3], node[3]
