"""LiteRT files (`.tflite`), for phones and small machines: float32, float16 weights, or 8-bit integers.

Integers: weights and activations, with float pixels in and float probabilities out (Jacob et al. 2018, Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference). The ranges of the activations are those of training images.
A layer that has no integer kernel stays in float.
"""

import tensorflow as tf

from kerastl.deploy.labels import into_litert
from kerastl.deploy.signatures import DEFAULT
from kerastl.stopping import killed_by_sigterm


def write_litert(source, path, numbers="float32"):
    """Convert a model and write it, with its labels.

    Args:
        source: a `Source`.
        path: of the file.
        numbers: float32, float16 or int8.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source.saved_model), signature_keys=[DEFAULT])
    NUMBERS[numbers](converter, source.calibration)
    with killed_by_sigterm():
        content = converter.convert()  # C++ that lets no other thread run, for half a minute with a large network
    path.write_bytes(content)
    into_litert(path, source.labels)


def _float16(converter, images):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _int8(converter, images):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.representative_dataset = lambda: ([image[None].astype("float32")] for image in images)


NUMBERS = {"float32": lambda converter, images: None, "float16": _float16, "int8": _int8}
