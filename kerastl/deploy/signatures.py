"""What an exported model is asked, and what it answers, in TensorFlow's terms.

Every signature has a batch of any length and answers `probabilities`. Pixels are raw, 0 to 255.

    serving_default   `image`, float32 of shape (n, height, width, 3)
    uint8             `image`, the same in uint8: a quarter of the bytes
    encoded           `image_bytes`, n strings, each the bytes of a JPEG or PNG of any size
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerastl.deploy.labels import into_saved_model

IMAGE, BYTES, PROBABILITIES = "image", "image_bytes", "probabilities"
DEFAULT = "serving_default"
DEPTH = 24  # of the bytes of a PNG, the one that says how many bits a channel has


@dataclass(frozen=True)
class Source:
    """What the files of one export are made of; what several of them need is made once.

    Args:
        model: a `keras.Model` from raw pixels to probabilities, without optimizer.
        labels: what labels.json holds.
        calibration: uint8 array of shape (n, height, width, 3): training images, which show int8 the ranges of the activations.
        aside: a folder for what is needed on the way.
    """

    model: keras.Model
    labels: dict
    calibration: np.ndarray
    aside: Path

    @cached_property
    def serve(self):
        """The model as a `tf.function` from `image` to {"probabilities"}."""
        shape = (None, *self.model.input_shape[1:])
        signature = [tf.TensorSpec(shape, tf.float32, name=IMAGE)]
        serve = tf.function(
            lambda image: {PROBABILITIES: self.model(image, training=False)},
            input_signature=signature,
            autograph=False,
        )
        serve.get_concrete_function()  # an ExportArchive takes what has been traced
        return serve

    @cached_property
    def saved_model(self):
        """A SavedModel with every signature, in `aside`."""
        shape, archive = (None, *self.model.input_shape[1:]), keras.export.ExportArchive()
        # Not archive.track(model): Keras 3.15 would then write every weight twice. What the signatures use is written anyway.
        archive.add_endpoint(DEFAULT, self.serve)
        archive.add_endpoint(
            "uint8",
            lambda image: self.serve(tf.cast(image, tf.float32)),
            [tf.TensorSpec(shape, tf.uint8, name=IMAGE)],
        )
        archive.add_endpoint(
            "encoded",
            lambda image_bytes: self.serve(decode_batch(image_bytes, shape[1:3])),
            [tf.TensorSpec((None,), tf.string, name=BYTES)],
        )
        archive.write_out(self.aside / "saved_model", verbose=False)
        into_saved_model(self.aside / "saved_model", self.labels)
        return self.aside / "saved_model"


def decode_batch(image_bytes, size):
    """The middle of encoded images, as `kerastl.data.decode.decode` has it, in operations of TensorFlow.

    Eight bits a channel come out within one grey level of Pillow's pixels: its filter is the same. EXIF does not turn an image here.

    Args:
        image_bytes: string tensor of shape (n,): JPEG or PNG.
        size: height and width of what comes out.

    Returns:
        A float32 tensor of shape (n, height, width, 3), whole numbers from 0 to 255.

    Example:
        >>> png = tf.io.encode_png(tf.constant([[[255, 0, 0], [0, 0, 255]]], tf.uint8))
        >>> decode_batch(png[None], (1, 1)).numpy().tolist()
        [[[[128.0, 0.0, 128.0]]]]
    """
    height, width = size
    spec = tf.TensorSpec((height, width, 3), tf.float32)
    return tf.map_fn(lambda encoded: _decode_one(encoded, height, width), image_bytes, fn_output_signature=spec)


def _decode_one(encoded, height, width):
    jpeg = tf.io.is_jpeg(encoded)
    pixels = tf.cond(jpeg, lambda: _decode_jpeg(encoded), lambda: _decode_png(encoded))
    target = tf.constant((height, width), tf.float32)
    source = tf.cast(tf.shape(pixels)[:2], tf.float32)
    scale = tf.reduce_max(target / source)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=pixels[None],
        size=(height, width),
        scale=tf.fill((2,), scale),
        translation=(target - source * scale) / 2,
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.clip_by_value(tf.round(resized), 0, 255)


def _decode_jpeg(encoded):
    """As exactly as Pillow: TensorFlow's default is a quicker transform."""
    return tf.cast(tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)


def _decode_png(encoded):
    """What is transparent lies on white. Decoded twice: TensorFlow scales fewer than eight bits with three channels, not with four."""
    pixels = tf.cast(tf.io.decode_png(encoded, channels=3), tf.float32)
    alpha = tf.cast(tf.io.decode_png(encoded, channels=4)[..., 3:], tf.int32)
    depth = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, DEPTH, 1), tf.uint8)[0], tf.int32)
    opaque = 2 ** tf.minimum(depth, 8) - 1
    alpha = tf.cast(tf.where(alpha == opaque, 255, alpha), tf.float32) / 255
    return tf.round(pixels * alpha + 255 * (1 - alpha))
