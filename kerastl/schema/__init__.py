"""The schema of a recipe: frozen dataclasses in which every key, default and bound stands once.

Read by `kerastl.recipe`, printed by `kerastl keys`. Keras is not imported.
"""

from kerastl.schema.images import Affine, AugmentSpec, Blur, DataSpec, Erasing, Perspective
from kerastl.schema.model import HeadSpec, ModelSpec, Normalize
from kerastl.schema.recipe import EvaluateSpec, ExportSpec, Recipe
from kerastl.schema.training import (
    CacheBudget,
    EarlyStopping,
    LastLayers,
    OptimizerSpec,
    Phase,
    Precision,
    ScheduleSpec,
    TrainSpec,
)

__all__ = [
    "Affine",
    "AugmentSpec",
    "Blur",
    "CacheBudget",
    "DataSpec",
    "EarlyStopping",
    "Erasing",
    "EvaluateSpec",
    "ExportSpec",
    "HeadSpec",
    "LastLayers",
    "ModelSpec",
    "Normalize",
    "OptimizerSpec",
    "Perspective",
    "Phase",
    "Precision",
    "Recipe",
    "ScheduleSpec",
    "TrainSpec",
]
