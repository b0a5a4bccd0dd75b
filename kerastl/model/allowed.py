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
    "keras.optimizers": (keras.Optimizer,),
    "keras.optimizers.schedules": (keras.optimizers.schedules.LearningRateSchedule,),
    "keras.losses": (keras.Loss,),
    "keras.metrics": (keras.Metric,),
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
MOST_DEPTH = 100
MOST_NUMBER = 2**27
MOST_ELEMENTS = 2**31


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
    rest = [(config, ("model",), "model")]
    while rest:
        value, path, owner = rest.pop()
        if isinstance(value, dict) and "class_name" in value:
            owner = str(_name(value) or owner)[:80]
        for look in CHECKS:
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
    if registered not in (None, name):
        return f"found the registered name {registered!r}; expected Keras' own classes, which have none"
    if name in PLAIN:
        return None
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


def _number(value, path):
    key = next((step for step in reversed(path) if isinstance(step, str)), "")
    if isinstance(value, list) and "shape" in key:
        sides = [abs(side) for side in value if type(side) is int and side]
        if (elements := math.prod(sides)) > MOST_ELEMENTS:
            return f"found {key} = {value}: {elements:,} elements; expected at most {MOST_ELEMENTS:,}"
    if type(value) is int and abs(value) > MOST_NUMBER and key not in FREE_NUMBERS:
        return f"found {key} = {value:,}; expected at most {MOST_NUMBER:,}"
    return None


CHECKS = (_object, _literal, _call, _file, _registered, _number)
