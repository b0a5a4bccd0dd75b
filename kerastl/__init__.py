"""kerastl: transfer learning for image classification with Keras 3, from recipes to proven exports.

    >>> import kerastl
    >>> kerastl.recipe("quickstart").model.backbone
    'MobileNetV2'

Importing kerastl imports neither TensorFlow nor Keras; the functions do when they are called.
"""

import importlib
import sys

# The rooms `train` and `evaluate` are imported first and their names set free: from then on these are the functions of `_LAZY`,
# whichever module of the rooms is imported.
from kerastl import evaluate, train
from kerastl.errors import KerastlError, RecipeError, UserError
from kerastl.keras_settings import correct_keras, prepare_keras
from kerastl.recipe import Phase, Recipe, recipe
from kerastl.recipe import names as recipes

__version__ = "0.1.0"
del evaluate, train

# Public name -> where it lives. Looked up when first used, so that TensorFlow waits until then.
_LAZY = {
    "train": "kerastl.run",
    "evaluate": "kerastl.evaluate_run",
    "Run": "kerastl.run",
    "automatic": "kerastl.auto",
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
    "report": "kerastl.evaluate.report",
    "gradcam": "kerastl.evaluate.gradcam",
    "export": "kerastl.deploy.export",
    "export_run": "kerastl.deploy.of_run",
    "explain": "kerastl.deploy.explain",
    "open_model": "kerastl.deploy.classifier",
    "predict": "kerastl.deploy.predict",
    "predict_stream": "kerastl.deploy.predict",
    "sweep": "kerastl.sweeps",
    "train_seeds": "kerastl.seeds",
    "find_learning_rate": "kerastl.train.lr_find",
    "speaking": "kerastl.voice",
    "start_tensorflow": "kerastl.startup",
}
__all__ = [
    "recipe",
    "recipes",
    "Recipe",
    "Phase",
    *_LAZY,
    "KerastlError",
    "UserError",
    "RecipeError",
]


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module 'kerastl' has no attribute {name!r}")
    prepare_keras()
    found = getattr(importlib.import_module(_LAZY[name]), name)
    if "keras" in sys.modules:
        correct_keras()
    return found


def __dir__():
    return sorted({*globals(), *_LAZY})
