"""What the tests of exports write: small models with random weights."""

import keras
import numpy as np

from kerastl.model.graph import build_model
from kerastl.schema import ModelSpec

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
LABELS = {"classes": ["cat", "dog", "owl"], "superclasses": ["beast", "beast", "bird"], "temperature": 1.7}


def model_of(backbone, size=32, seed=0, **more):
    """A model with random weights, made so that it is surer of some classes than of others."""
    keras.utils.set_random_seed(seed)
    model = build_model(ModelSpec(backbone, "none", size, **more), PIXELS.shape[1:], 3)
    logits = model.get_layer("logits")
    logits.kernel.assign(logits.kernel * 50)
    return model
