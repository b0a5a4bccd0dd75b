"""A learner compiled for its phase: loss, metrics, and fresh optimizers."""

import keras
import tensorflow as tf

from kerastl.errors import RecipeError
from kerastl.train.devices import CROSSENTROPY, build_compiled
from kerastl.train.optimizers import combine, make_optimizers
from kerastl.train.steps import steps_per_call


def compile_learner(learner, it, groups, recipe, strategy=None):
    """Compile what a phase trains, with fresh optimizers.

    Args:
        learner: a `Learner`.
        it: its `PhasePlan`.
        groups: what `layer_groups` gave.
        recipe: a `Recipe`.
        strategy: in whose scope this is called, or None.

    Returns:
        The optimizer of each group that learns.

    Raises:
        RecipeError: XLA is asked for, and resizes wrongly here.
    """
    if recipe.train.jit_compile:
        _check_compiled_resize(learner.model)
    optimizers = make_optimizers(it)
    optimizer = combine(optimizers, learner.model, groups)
    if learner.precision == "mixed_float16":  # small gradients would vanish in half precision
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    whole_loss = strategy and recipe.train.class_weights == "none"
    # Compiled anew: Keras reads the trainable flags here, and an optimizer cannot take up other variables later.
    # The training targets are smoothed and mixed in the data, so this loss is the plain one on validation images.
    learner.model.compile(
        optimizer=optimizer,
        loss=CROSSENTROPY,
        metrics=["accuracy", CROSSENTROPY] if whole_loss else ["accuracy"],
        jit_compile=recipe.train.jit_compile,
        # TensorFlow 2.21 cannot run a loop of several steps over shares of a batch.
        steps_per_execution=1
        if strategy
        else steps_per_call(learner.model, recipe.train.batch_size, it.steps_per_epoch),
    )
    if strategy:
        build_compiled(learner.model, strategy)
    return optimizers


def _check_compiled_resize(model):
    """TensorFlow 2.21's XLA resizes wrongly on the CPU by some factors, 32 to 96 and 32 to 224 among them, and says nothing."""
    resize = next((layer for layer in model.layers if isinstance(layer, keras.layers.Resizing)), None)
    if resize is None:
        return
    pixels = tf.random.stateless_uniform([1, *model.input.shape[1:]], seed=[0, 0], maxval=255.0)
    plain, compiled = (tf.function(resize, jit_compile=jit)(pixels, training=False) for jit in (False, True))
    off = float(tf.reduce_max(tf.abs(plain - compiled)))
    if off > 0.1:
        raise RecipeError(
            f"train.jit_compile: on this machine XLA resizes {tuple(pixels.shape[1:3])} to {tuple(plain.shape[1:3])} wrongly, by "
            f"{off:.0f} of 255; expected train.jit_compile = false, or an image size that it resizes right, as a power of two"
        )
