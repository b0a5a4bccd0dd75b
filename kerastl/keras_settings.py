"""Keras as kerastl needs it: on TensorFlow, in float32, channels last, whatever keras.json or the environment say.

And matplotlib, which Keras imports, without the settings of the folder one stands in.
"""

import contextlib
import importlib.util
import json
import os
import sys
import warnings
from pathlib import Path

from kerastl.errors import KerastlWarning, UserError, brief

# What Keras takes from keras.json, and the values that kerastl works with.
NEEDED = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
# What Keras itself takes there. Anything else ends its import, or the next use of it, in an error of its own.
VALID = {
    "backend": ("tensorflow", "jax", "torch", "numpy", "openvino"),
    "image_data_format": ("channels_last", "channels_first"),
    "floatx": ("float16", "float32", "float64"),
}
MOST_BYTES = 65536


def keras_home():
    """Where Keras keeps weights and datasets: KERAS_HOME, or ~/.keras, or /tmp/.keras where there is no home to write to."""
    if named := os.environ.get("KERAS_HOME", "").strip():
        return Path(os.path.expanduser(named))  # noqa: PTH111 (without a home folder it stays as it is)
    home = os.path.expanduser("~")  # noqa: PTH111
    return Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"


def prepare_keras():
    """Choose Keras' backend, if Keras is not imported yet; an empty KERAS_HOME means that there is none.

    Raises:
        UserError: keras.json cannot be read, or matplotlib cannot be started.
    """
    if not os.environ.get("KERAS_HOME", "-").strip():
        del os.environ["KERAS_HOME"]
    if "keras" in sys.modules:
        return
    prepare_matplotlib()
    asked = {"keras.json": _configured().get("backend"), "KERAS_BACKEND": os.environ.get("KERAS_BACKEND")}
    os.environ["KERAS_BACKEND"] = NEEDED["backend"]
    for source, backend in asked.items():
        if backend and backend != NEEDED["backend"]:
            _warn("backend", backend, source)


def prepare_matplotlib():
    """Import matplotlib as if one stood in its own folder: a `matplotlibrc` in the working folder belongs to somebody else.

    Raises:
        UserError: MPLBACKEND or MATPLOTLIBRC hold what it does not know.
    """
    if "matplotlib" in sys.modules:
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):  # the user's folder is gone
            stack.enter_context(contextlib.chdir(Path(importlib.util.find_spec("matplotlib").origin).parent))
        try:
            importlib.import_module("matplotlib")
        except (ValueError, OSError) as error:
            told = f"matplotlib cannot be started ({brief(error)}); correct MPLBACKEND and MATPLOTLIBRC, or unset them"
            raise UserError(told) from None


def correct_keras():
    """Set what keras.json, or a program before us, has set otherwise, and say so.

    Raises:
        UserError: Keras runs on another backend already; that cannot be changed within a process.
    """
    import keras

    if (backend := keras.backend.backend()) != NEEDED["backend"]:
        raise UserError(
            f"Keras was imported with the backend {backend}; kerastl needs {NEEDED['backend']}: import kerastl before keras, or "
            "set KERAS_BACKEND=tensorflow before the program starts"
        )
    for name, wanted in NEEDED.items():
        there = getattr(keras.config, name)()
        if there != wanted:
            getattr(keras.config, f"set_{name}")(wanted)
            _warn(name, there, "keras.json, or a program that set it")


def _warn(name, found, source):
    warnings.warn(
        f"Keras' {name} is set to {found} ({source}); kerastl uses {NEEDED[name]} in this process",
        KerastlWarning,
        stacklevel=4,
    )


def _configured():
    """What keras.json says; what Keras could not start with is refused, with the remedy."""
    path = keras_home() / "keras.json"
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            table = json.loads(file.read(MOST_BYTES).decode("utf-8"))
    except ValueError:  # Keras goes on with its defaults
        return {}
    except (OSError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); correct the file or delete it") from None
    if not isinstance(table, dict):
        raise UserError(
            f"{path}: found {type(table).__name__}; expected a table of settings: correct the file or delete it"
        )
    for name, valid in VALID.items():
        if name in table and table[name] not in valid:
            raise UserError(
                f"{path}: {name}: found {table[name]!r}; expected {NEEDED[name]}: correct the file or delete it"
            )
    if not isinstance(table.get("epsilon", 1.0), float):
        raise UserError(
            f"{path}: epsilon: found {table['epsilon']!r}; expected {NEEDED['epsilon']}: correct the file or delete it"
        )
    return table
