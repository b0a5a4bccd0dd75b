"""What the config of a model may hold: Keras' own classes and plain values, nothing that names code, a file or the absurd.

Keras' safe mode refuses most of this too. Here it is the other way round: what is not known to be harmless is refused, by
reading the JSON alone, so that a way around safe mode has to get past an allow-list first.
"""

import math
import sys

import keras

from kerastl import strict
from kerastl.errors import UntrustedFile

REMEDY = "Rebuild the model of Keras' own layers and save it again"
# Where a config may find a class, and what the class has to be.
MODULES = {
    "keras": (keras.Model, keras.DTypePolicy, keras.Initializer),
    "keras.models": (keras.Model,),
    "keras.src.models.functional": (keras.Model,),
    "keras.src.models.sequential": (keras.Model,),
    "keras.layers": (keras.Layer,),
    "keras.initializers": (keras.Initializer,),
    "keras.regularizers": (keras.Regularizer,),
    "keras.constraints": (keras.constraints.Constraint,),
    "keras.dtype_policies": (keras.DTypePolicy,),
    "keras.random": (keras.random.SeedGenerator,),
}
# Operations such as x / 255, and the layers that only keras.applications uses, have no public module.
INNER_MODULES = {"keras.src.ops.": (keras.Operation,), "keras.src.applications.": (keras.Layer,)}
REFUSED = {
    "Lambda": "runs Python code that stands in the file",
    "__lambda__": "is Python code that stands in the file",
    "function": "names a function to be called",
    "TFSMLayer": "loads and runs a SavedModel from where the file says",
    "TorchModuleWrapper": "unpickles what stands in the file",
    "JaxLayer": "runs functions that the file names",
    "FlaxLayer": "runs functions that the file names",
    "__typespec__": "makes one of TensorFlow's inner types",
    "TypeSpec": "makes one of TensorFlow's inner types",
    "CompositeTensor": "makes one of TensorFlow's inner types",
}
# Layers for text and sound: their tables and filters are made as soon as the layer is, of whatever size the config says.
NOT_OF_IMAGES = {
    **dict.fromkeys(("StringLookup", "IntegerLookup", "TextVectorization"), "keeps a table of words"),
    **dict.fromkeys(("Hashing", "HashedCrossing"), "hashes text"),
    **dict.fromkeys(("STFTSpectrogram", "MelSpectrogram"), "takes sound"),
    "MaxNumBoundingBoxes": "takes boxes",
}
# Operations that make one array of those they are given, of a size that shows in its shape.
OPERATIONS = {
    "numpy": "Absolute Abs Add All Amax Amin Any Argmax Argmin Average BroadcastTo Ceil Clip Concatenate Copy Cos Cosh Cumsum Divide "
    "DivideNoNan Dot Einsum Equal Exp ExpandDims Expm1 Flip Fliplr Flipud Floor FloorDivide GetItem Greater GreaterEqual Heaviside "
    "Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2 LogicalAnd LogicalNot LogicalOr Matmul Max Maximum Mean Min Minimum Mod "
    "Moveaxis Multiply NanToNum Negative NotEqual OnesLike Pad Power Prod Ravel Reciprocal Repeat Reshape Roll Rot90 Round Sign Sin Sinh "
    "Split Sqrt Square Squeeze Stack Std Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh Tile Transpose TrueDivide Var Where ZerosLike",
    "nn": "BatchNorm Celu Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax Moments "
    "Normalize OneHot RMSNorm Relu Relu6 Selu Sigmoid Silu SoftShrink Softmax Softplus Softsign SparsePlus SparseSigmoid Sparsemax "
    "Squareplus TanhShrink Threshold AveragePool MaxPool Conv DepthwiseConv DepthToSpace SpaceToDepth",
    "math": "Erf Logsumexp Rsqrt TopK",
    "core": "Cast ConvertToTensor SaturateCast Slice StopGradient",
    "image": "CropImages PadImages RGBToGrayscale Resize",
    "linalg": "Norm",
}
OPERATIONS = {f"keras.src.ops.{module}": set(names.split()) for module, names in OPERATIONS.items()}
PLAIN = {
    "__keras_tensor__",
    "__tensor__",
    "__numpy__",
    "__bytes__",
    "__ellipsis__",
    "__slice__",
    "__tuple__",
    "TensorShape",
}
DTYPES = {"bool", "bfloat16", *(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64))}
FILE_KEYS = {"vocabulary", "idf_weights"}  # the lookup layers read a file where this is a path
FREE_NUMBERS = {"seed", "salt", "shared_object_id"}  # of any size; nothing is as large as they are
MOST = {"indices_or_sections": 1_000, "sections": 1_000}  # where as many things are made as the number says
LONG = {"mean", "variance", "bin_boundaries", "value"}  # lists of numbers that may have more than 1,000
MOST_LIST = 1_000
MOST_LETTERS = 10_000  # of a text
MOST_NAME = 1_000  # of a name, which is repeated in those of all that is inside
MOST_DEPTH = 100
MOST_NUMBER = 2**27
MOST_ELEMENTS = 2**31
MOST_SIDES = 32  # of a shape; TensorFlow has no more
MOST_CALLS = 20_000  # of layers, each model in a model counted as often as it is called; NASNetLarge makes 1,200
MOST_BACKWARD = (
    100  # layers that are called on one that stands behind them: for each, Keras goes through all of them again
)


def check_config(config, source):
    """Refuse a model's config that holds more than Keras' own classes and sensible numbers.

    Args:
        config: what JSON gave.
        source: the file, named in errors.

    Raises:
        UntrustedFile: naming the layer, where it stands and the reason.
    """
    if (deep := strict.depth(config)) > MOST_DEPTH:
        raise UntrustedFile(f"{source}: nested {deep} deep; expected at most {MOST_DEPTH}. {REMEDY}")
    _check_calls(config, source)
    rest = [(config, ("model",), "model")]
    while rest:
        value, path, owner = rest.pop()
        if isinstance(value, dict) and "class_name" in value:
            owner = str(_name(value) or owner)[:80]
        for look in CHECKS.get(type(value), ()):
            if reason := look(value, path):
                where = ".".join(map(str, path))
                raise UntrustedFile(f"{source}: {owner!r} (at {where[-120:]}): {reason[:400]}. {REMEDY}")
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        rest += [(item, (*path, key), owner) for key, item in pairs]


def _name(value):
    inner = value.get("config")
    return value.get("name") or (inner.get("name") if isinstance(inner, dict) else None)


def _object(value, path):
    if not isinstance(value, dict) or "class_name" not in value:
        return None
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None):
        return f"found the class {name!r} of the module {module!r}; expected names"
    found = _find(module, name)
    for known in (name, getattr(found, "__name__", "")):
        if known in REFUSED:
            return f"found {known}, which {REFUSED[known]}; expected layers that are no code"
    if found is not None and found.__name__ in NOT_OF_IMAGES:
        inner = value.get("config") if isinstance(value.get("config"), dict) else {}
        files = (_file(inner.get(key), (*path, key)) for key in sorted(FILE_KEYS))
        why = f"found {name}, which {NOT_OF_IMAGES[found.__name__]}; expected layers that take images"
        return next(filter(None, files), why)
    if registered not in (None, name):
        return f"found the registered name {registered!r}; expected Keras' own classes, which have none"
    if name in PLAIN:
        return None
    if (module or "").startswith("keras.src.ops.") and name not in OPERATIONS.get(module, ()):
        return f"found {module}.{name}, an operation that is not known to stay within the size of its shape"
    if found is None:
        where = f"{module}.{name}" if module else name
        hub = "; of KerasHub, name the preset: hub:PRESET" if where.startswith("keras_hub.") else ""
        return f"found {where}, which is no layer, initializer or other part of a model that Keras brings along{hub}"
    return None


def _find(module, name):
    """The class a config means, if it is one of Keras' own; configs of `.h5` leave the module out. Nothing is imported."""
    for place in [module] if module else MODULES:
        inner = (kinds for start, kinds in INNER_MODULES.items() if place.startswith(start))
        kinds = MODULES.get(place) or next(inner, ())
        found = getattr(sys.modules.get(place), name, None)
        if isinstance(found, type) and issubclass(found, kinds):
            return found
    return None


def _literal(value, path):
    """An array or tensor: a dtype such as S1000000000 asks for a gigabyte an element."""
    if not isinstance(value, dict) or value.get("class_name") not in ("__numpy__", "__tensor__"):
        return None
    inner = value.get("config")
    dtype = inner.get("dtype") if isinstance(inner, dict) else None
    return None if dtype in DTYPES else f"found an array of {dtype!r}; expected one of {', '.join(sorted(DTYPES))}"


def _call(value, path):
    """A layer called with constants is computed at once, at whatever size; with another layer's answer, when it is run."""
    if len(path) < 2 or path[-2] != "inbound_nodes" or _takes_a_tensor(value):
        return None
    if isinstance(value, list) and value:  # as Keras 2 wrote it: the names of layers
        return None
    return "found a call without another layer's output; expected a layer of the graph"


def _takes_a_tensor(value):
    if isinstance(value, dict):
        if "class_name" in value:
            return value["class_name"] == "__keras_tensor__"
        value = list(value.values())
    return isinstance(value, list) and any(map(_takes_a_tensor, value))


def _file(value, path):
    if path[-1] in FILE_KEYS and isinstance(value, str):
        return f"found {path[-1]} = {value!r}, a file of this machine; expected the values themselves"
    return None


def _registered(value, path):
    if isinstance(value, str) and value in keras.saving.get_custom_objects():
        return f"found {value!r}, an object registered in this process; expected Keras' own"
    return None


def _key(path):
    return next((step for step in reversed(path) if isinstance(step, str)), "")


def _shape(value, path):
    key = _key(path)
    sides = [side for side in value if type(side) is int and 0 < abs(side) <= MOST_NUMBER] if "shape" in key else ()
    most = MOST_SIDES if "shape" in key else len(value) if key in LONG else MOST_LIST
    if len(value) > most and (numbers := sum(type(item) in (int, float) for item in value)) > most:
        return f"found {key} of {numbers:,} numbers; expected at most {most:,}"
    if (elements := abs(math.prod(sides))) > MOST_ELEMENTS:
        return f"found {key} = {value}: {elements:,} elements; expected at most {MOST_ELEMENTS:,}"
    return None


def _text(value, path):
    key, most = _key(path), MOST_NAME if path[-1] == "name" else MOST_LETTERS
    return f"found {key} of {len(value):,} letters; expected at most {most:,}" if len(value) > most else None


def _number(value, path):
    key = _key(path)
    most = MOST.get(key, MOST_NUMBER)
    if abs(value) > most and key not in FREE_NUMBERS:
        return f"found {key} = {value:,}; expected at most {most:,}"
    return None


def _check_calls(config, source):
    """Refuse what is called so often, or in such an order, that Keras would be busy for hours."""
    if (calls := _calls(config)) > MOST_CALLS:
        raise UntrustedFile(
            f"{source}: its layers are called {calls:,} times; expected at most {MOST_CALLS:,}. {REMEDY}"
        )
    if (backward := _backward(config)) > MOST_BACKWARD:
        raise UntrustedFile(
            f"{source}: {backward:,} of its layers stand before the one they are called on; expected at most {MOST_BACKWARD}. {REMEDY}"
        )


def _calls(value):
    """How often layers are called: those of a model as often as it is called itself."""
    if isinstance(value, list):
        return sum(map(_calls, value))
    if not isinstance(value, dict):
        return 0
    nodes, name, module = value.get("inbound_nodes"), value.get("class_name"), value.get("module")
    rest = {key: item for key, item in value.items() if key != "inbound_nodes"}
    if not isinstance(name, str) or name in PLAIN or not isinstance(module, str | None):
        return sum(map(_calls, rest.values()))
    inner = 0
    if name == "Sequential":  # after each layer that is added, all before it are called again
        layers = rest.pop("config", None)
        if isinstance(layers, dict):
            rest |= {key: item for key, item in layers.items() if key != "layers"}
            layers = layers.get("layers")
        layers = layers if isinstance(layers, list) else []
        inner = sum(_calls(layer) * (len(layers) - place) for place, layer in enumerate(layers))
    inner += sum(map(_calls, rest.values()))
    found = _find(module, name)
    times = max(1, len(nodes)) if isinstance(nodes, list) else 1
    return times * (inner + (found is not None and issubclass(found, keras.Operation)))


def _backward(value):
    count, rest = 0, [value]
    while rest:
        value = rest.pop()
        if isinstance(value, dict) and isinstance(layers := value.get("layers"), list):
            seen = set()
            for layer in layers:
                seen.add(_name(layer) if isinstance(layer, dict) else None)
                asked = _asked(layer.get("inbound_nodes")) if isinstance(layer, dict) else set()
                count += bool(asked - seen)
        rest += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return count


def _asked(nodes):
    """The names of the layers whose output is taken: of Keras 3, and as Keras 2 wrote them."""
    names, rest = set(), [nodes]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            history = value.get("keras_history")
            names |= {history[0]} if isinstance(history, list) and history and isinstance(history[0], str) else set()
            rest += value.values()
        elif isinstance(value, list):
            if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
                names.add(value[0])
            rest += value
    return names


CHECKS = {
    dict: (_object, _literal, _call),
    list: (_call, _shape),
    str: (_file, _registered, _text),
    int: (_number,),
}
