"""Where a network looks: Grad-CAM on the flat graph, for any backbone and layer.

images -> maps of a layer -> logit of a class;  the gradient of the logit weighs the maps, their sum is the picture
"""

import weakref

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from kerastl import strict
from kerastl.errors import UserError
from kerastl.evaluate.drawing import matplotlib
from kerastl.model.cut import numbers_made_by, tensors
from kerastl.model.graph import FEATURES, INPUT_LAYERS
from kerastl.train.precision import ALWAYS_FLOAT32

BATCH = 32
COLOURS = matplotlib.colormaps["inferno"]  # even in brightness, and alike to all eyes
PREDICTED = -1
ENDS = ("Softmax", "LogSoftmax", "Sigmoid")  # operations that a graph may end in, as the layers of these names
SCALE = 256.0  # float16 has no room for small gradients; the largest value becomes 1 in any case
_compiled = weakref.WeakKeyDictionary()  # model -> layer -> its function, for as long as the model lives


def gradcam(model, images, classes=None, layer=None):
    """Where in each image a model finds the evidence for a class.

    The model is used at inference, with BatchNormalization's moving statistics; its weights and flags stay as they are.

    Args:
        model: a `keras.Model` from images to one score for each class: what `build_model` gives, or any flat graph that ends
            in a Dense, Activation or Softmax layer, whose input to the softmax is then the logit.
        images: array of shape (n, height, width, 3), uint8 or float, 0 to 255, as the model takes them.
        classes: the class to explain, or an int array of shape (n,): one for each image (default: the predicted one).
        layer: name of a layer that gives maps, of shape (batch, rows, columns, channels) (default: the last before the
            features).

    Returns:
        A float32 array of shape (n, height, width), from 0 to 1, where 1 is the strongest evidence in that image; all zeros
        where no map speaks for the class.

    Raises:
        UserError: no such layer, one that gives no maps, or a class that there is not.

    Source:
        Selvaraju et al. 2017, Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, section 3.

    Example:
        >>> image = keras.Input((8, 8, 3))
        >>> maps = keras.layers.Conv2D(2, 1, name="maps", kernel_initializer="ones")(image)
        >>> pooled = keras.layers.GlobalAveragePooling2D()(maps)
        >>> model = keras.Model(image, keras.layers.Dense(2, "softmax", kernel_initializer="identity")(pooled))
        >>> spot = np.zeros((1, 8, 8, 3), np.uint8)
        >>> spot[0, 6, 1] = 255
        >>> heat = gradcam(model, spot, classes=0)
        >>> np.argwhere(heat == heat.max()).tolist(), float(heat.sum())
        ([[0, 6, 1]], 1.0)
    """
    images = np.asarray(images)
    explain = _function(model, layer)
    chosen = _chosen(classes, len(images), max(2, _columns(model)))  # one column tells two classes apart
    heat = [
        explain(tf.cast(images[start : start + BATCH], tf.float32), chosen[start : start + BATCH]).numpy()
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(heat) if heat else np.zeros(images.shape[:3], np.float32)


def overlay(image, heatmap):
    """An image with its heatmap laid over it, in colours that are told apart by all eyes.

    Args:
        image: array of shape (height, width, 3), 0 to 255.
        heatmap: array of shape (rows, columns), 0 to 1, of any size: it is enlarged smoothly.

    Returns:
        A uint8 array of shape (height, width, 3).

    Example:
        >>> overlay(np.zeros((4, 6, 3), np.uint8), np.ones((2, 2))).shape
        (4, 6, 3)
    """
    height, width = np.shape(image)[:2]
    heat = Image.fromarray(np.asarray(heatmap, np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(heat), 0.0, 1.0)
    grey = np.asarray(image, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    mixed = 0.5 * grey[..., None] + 0.5 * 255.0 * COLOURS(heat)[..., :3]
    return np.round(mixed).astype(np.uint8)


def explainable(model):
    """The layers whose maps Grad-CAM can show, in the order of the graph: a dict from name to what the layer gives there."""
    made = tensors(model)
    names = [it.name for it in model.layers if it.name not in INPUT_LAYERS and not isinstance(it, ALWAYS_FLOAT32)]
    return {name: made[name] for name in names if name in made and _is_maps(made[name].shape)}


def _is_maps(shape):
    return len(shape) == 4 and shape[1:3] != (1, 1)


def _chosen(classes, n, count):
    chosen = np.broadcast_to(PREDICTED if classes is None else np.asarray(classes), n).astype(np.int32)
    wrong = () if classes is None else chosen[(chosen < 0) | (chosen >= count)]
    if len(wrong):
        raise UserError(
            f"classes: found {wrong[0]}; expected whole numbers from 0 to {count - 1}, as there are {count} classes"
        )
    return chosen


def _columns(model):
    return model.output_shape[-1] if len(model.output_shape) > 1 else 1


def _function(model, layer):
    """From images and classes to heatmaps, made once for a model and a layer."""
    there = explainable(model)
    if not there:
        raise UserError(
            f"{model.name}: no layer gives maps (batch, rows, columns, channels); expected a convolutional network"
        )
    if layer is None:
        layer = next(reversed([name for name in there if name != FEATURES]))
    if layer not in there:
        raise UserError(
            f"layer: {model.name} has none with maps that is named {layer!r}; {strict.suggest(layer, there)}"
        )
    functions = _compiled.setdefault(model, {})
    if layer not in functions:
        functions[layer] = _compile(model, there[layer])
    return functions[layer]


def _compile(model, maps_of):
    before, to_logits = _logits(model)
    both = keras.Model(model.inputs, [maps_of, before])
    shape, columns, name = (None, *model.input_shape[1:]), _columns(model), model.name

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int32)])
    def explain(images, classes):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)  # and with it all that comes of them, frozen layers or not
            maps, x = both(images, training=False)
            logits = to_logits(tf.cast(x, tf.float32))
            logits = tf.reshape(logits, (tf.shape(logits)[0], columns))
            if logits.shape[1] == 1:  # what speaks for the second class speaks against the first
                logits = tf.concat([-logits, logits], axis=1)
            classes = tf.where(classes == PREDICTED, tf.argmax(logits, axis=1, output_type=tf.int32), classes)
            told = SCALE * tf.reduce_sum(tf.gather(logits, classes, batch_dims=1))
        gradients = tape.gradient(told, maps)
        if gradients is None:
            raise UserError(
                f"{name}: no gradient leads from its answer back to its maps; expected a model that ends in probabilities or logits"
            )
        gradients = tf.cast(gradients, tf.float32)
        weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
        heat = tf.nn.relu(tf.reduce_sum(weights * tf.cast(maps, tf.float32), axis=3, keepdims=True))
        heat = tf.image.resize(heat, tf.shape(images)[1:3])[..., 0]
        return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))

    return explain


def _logits(model):
    """The last tensor before the softmax that a layer gives, and what makes logits of it."""
    last, reads, _ = numbers_made_by(model.outputs[0])
    if isinstance(last, keras.layers.Dense):  # its softmax is its own: the product is made here again
        return reads[0], lambda x: keras.ops.matmul(x, last.kernel) + (last.bias if last.use_bias else 0.0)
    if isinstance(last, (keras.layers.Activation, keras.layers.Softmax)) or type(last).__name__ in ENDS:
        return reads[0], lambda x: x
    return model.outputs[0], lambda x: x
