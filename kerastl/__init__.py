"""kerastl: transfer learning for image classification with Keras 3, from recipes to proven exports.

    >>> import kerastl
    >>> kerastl.recipe("quickstart").model.backbone
    'MobileNetV2'

Importing kerastl imports neither TensorFlow nor Keras; the functions do when they are called.
"""

import importlib

# The rooms `train` and `evaluate` are imported first (they are empty but for their docstrings), so that the functions of the
# same names below, which users call, are what the names mean from then on.
from kerastl import evaluate as _room_evaluate  # noqa: F401
from kerastl import train as _room_train  # noqa: F401
from kerastl.errors import KerastlError, RecipeError, UserError
from kerastl.recipe import Phase, Recipe, recipe
from kerastl.recipe import names as recipes

__version__ = "0.1.0"

# Public name -> where it lives. Looked up when first used, so that TensorFlow waits until then.
_LAZY = {
    "Run": "kerastl.run",
    "dry_run": "kerastl.preview",
    "tune_speed": "kerastl.preview",
    "check": "kerastl.data.check",
    "load": "kerastl.data.load",
    "build_model": "kerastl.model.graph",
    "layer_groups": "kerastl.model.groups",
    "plan": "kerastl.train.plan",
    "fit": "kerastl.train.fit",
    "judge": "kerastl.evaluate.metrics",
    "compare": "kerastl.evaluate.compare",
    "export": "kerastl.deploy.export",
    "export_run": "kerastl.deploy.of_run",
    "sweep": "kerastl.sweeps",
    "find_learning_rate": "kerastl.train.lr_find",
}
__all__ = [
    "KerastlError",
    "Phase",
    "Recipe",
    "RecipeError",
    "UserError",
    "evaluate",
    "recipe",
    "recipes",
    "train",
    *_LAZY,
]


def train(recipe, out, **options):
    """Train, judge and save what a recipe describes; see `kerastl.run.train`."""
    return importlib.import_module("kerastl.run").train(recipe, out, **options)


def evaluate(folder, split="test"):
    """Judge the model of a finished run again; see `kerastl.run.evaluate`."""
    return importlib.import_module("kerastl.run").evaluate(folder, split)


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerastl' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted({*globals(), *_LAZY})
