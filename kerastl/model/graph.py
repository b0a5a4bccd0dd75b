"""One flat graph of built-in layers: image, resize, preprocess, backbone, features, head, probabilities.

Flat, so that any layer can be reached by name; built-in, so that plain Keras loads what is saved; resize and preprocessing
inside, in float32, so that whoever has the file feeds it raw pixels.
"""

import hashlib

import keras
import numpy as np

from kerastl.errors import RecipeError, brief
from kerastl.model.pretrained import pretrained
from kerastl.schema import Normalize

INPUT_LAYERS = ("image", "resize", "preprocess")
FEATURES, LOGITS = "features", "logits"
IMAGENET = Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def build_model(spec, image_shape, classes):
    """Build the whole classifier of a recipe.

    Args:
        spec: a `ModelSpec`.
        image_shape: (height, width, 3) of the images as the dataset has them.
        classes: how many.

    Returns:
        A `keras.Model` from raw pixels, 0 to 255, of shape (batch, *image_shape) to probabilities of shape (batch, classes).

    Raises:
        RecipeError, MissingWeights, MissingExtra: see `pretrained`.

    Example:
        >>> from kerastl.schema import ModelSpec
        >>> spec = ModelSpec("SmallCNN", weights="none", image_size=32)
        >>> build_model(spec, (32, 32, 3), classes=10).output_shape
        (None, 10)
    """
    backbone = pretrained(spec)
    x = image = keras.Input(image_shape, name="image")
    if tuple(image_shape[:2]) != (spec.image_size, spec.image_size):
        # training=False: unset, Resizing hands training=True to every later layer whenever the model is called plainly.
        x = keras.layers.Resizing(spec.image_size, spec.image_size, name="resize", dtype="float32")(x, training=False)
    x = _preprocess(x, backbone.preprocessing if spec.preprocessing == "backbone" else spec.preprocessing)
    x = _inline(backbone.model, x)
    x = _head(_features(x, spec.features), spec.head, classes)
    model = keras.Model(image, x, name="kerastl")
    copy_weights(backbone.model, model)
    return model


def at_size(model, size):
    """A copy of a model that resizes its images to another side.

    Paddings stay as the backbone chose them for its own size: where one is odd and the other even, they differ by a pixel
    from those of a backbone built for the other.

    Args:
        model: what `build_model` gave.
        size: side in pixels.

    Returns:
        A `keras.Model` with weights of its own, equal to those of the model.

    Raises:
        RecipeError: the backbone's weights, or whether it can be built at all, depend on the size of its images.
    """
    image = keras.Input(model.input.shape[1:], name="image")
    resized = keras.layers.Resizing(size, size, name="resize", dtype="float32")(image, training=False)

    def call(layer, x, *arguments, **keywords):
        if layer.name == "resize":
            return resized
        return layer(resized if x is image else x, *arguments, **keywords)

    try:
        copy = keras.models.clone_model(model, input_tensors=image, call_function=call)
        copy_weights(model, copy)
    except ValueError as error:
        raise RecipeError(
            f"image_size: this backbone cannot take images of side {size} as well: {brief(error)}"
        ) from None
    return copy


def copy_weights(source, target):
    """Give each layer of a model what the layer of the same name holds in another: weights, and how far its draws are.

    Args:
        source, target: `keras.Model`; the target has every layer of the source that holds anything.
    """
    for layer in source.layers:
        for mine, its in zip(
            layer.variables, target.get_layer(layer.name).variables if layer.variables else (), strict=True
        ):
            its.assign(mine)


def digest_of_weights(model):
    """What stands for a model's weights: alike only where all of them are, bit by bit."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight))
    return digest.hexdigest()


def _preprocess(x, mode):
    if mode == "none":
        return x
    if mode == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess", dtype="float32")(x)
    if mode == "caffe":
        # RGB to BGR minus the mean is an affine map over channels; as a frozen 1x1 convolution every format reloads it.
        swap = keras.layers.Conv2D(3, 1, name="preprocess", trainable=False, dtype="float32")
        y = swap(x)
        swap.set_weights([np.eye(3, dtype="float32")[::-1].reshape(1, 1, 3, 3), -np.array(CAFFE_MEAN_BGR, "float32")])
        return y
    normalize = IMAGENET if mode == "torch" else mode
    mean, std = np.array(normalize.mean), np.array(normalize.std)
    scale, offset = (1 / (255 * std)).tolist(), (-mean / std).tolist()
    return keras.layers.Rescaling(scale, offset=offset, name="preprocess", dtype="float32")(x)


def _inline(model, x):
    """Rebuild a backbone's layers on `x`, rather than calling it as one layer; the layers keep their names."""
    outputs = {}

    def call(layer, *arguments, **keywords):
        outputs[layer.name] = layer(*arguments, **keywords)
        return outputs[layer.name]

    keras.models.clone_model(model, input_tensors=x if not isinstance(model.input, list) else [x], call_function=call)
    return outputs[model.output_names[0]]


def _features(x, features):
    if len(x.shape) == 4:
        pool = keras.layers.GlobalMaxPooling2D if features == "max" else keras.layers.GlobalAveragePooling2D
        return pool(name=FEATURES, dtype="float32")(x)
    return keras.layers.Activation("linear", name=FEATURES, dtype="float32")(x)


def _head(x, spec, classes):
    rates = spec.dropout if isinstance(spec.dropout, tuple) else (spec.dropout,) * (len(spec.widths) + 1)
    for i, (width, rate) in enumerate(zip((*spec.widths, classes), rates, strict=True), start=1):
        if rate:
            x = keras.layers.Dropout(rate, name=f"head_dropout{i}", dtype="float32")(x)
        last = i > len(spec.widths)
        name, activation = (LOGITS, None) if last else (f"head_dense{i}", spec.activation)
        x = keras.layers.Dense(width, activation=activation, name=name, dtype="float32")(x)
    return keras.layers.Activation("softmax", name="probabilities", dtype="float32")(x)
