"""Augmentation: the recipe's table as Keras layers, with randomness that depends only on where in the training we are.

Every draw comes from (seed, phase, step), never from a generator that remembers, so the same step of the same recipe sees
the same images on every run, in every thread and after a restart.
"""

import keras
import tensorflow as tf

L = keras.layers
PIXELS = (0, 255)

# In the order of application. Keras reads a single number p as "up to p": a pair (p, p) says what is meant. Its contrast
# takes (below, above); its saturation has 0.5 for no change and must clip at 1, not 255; its hue counts half circles.
LAYERS = {
    "flip": lambda how: [L.RandomFlip({"both": "horizontal_and_vertical"}.get(how, how))] if how != "none" else [],
    "rotation": lambda degrees: [_rotation(degrees)],
    "translation": lambda share: [_translation(share)],
    "affine": lambda it: [_rotation(it.rotation), _translation(it.translation)],
    "zoom": lambda share: [L.RandomZoom((-share, share), fill_mode="constant")],
    "shear": lambda share: [L.RandomShear(share, share, fill_mode="constant")],
    "perspective": lambda it: [L.RandomPerspective((it.probability, it.probability), scale=it.scale)],
    "brightness": lambda share: [L.RandomBrightness(share, value_range=PIXELS)],
    "contrast": lambda share: [L.RandomContrast((share, share), value_range=PIXELS)],
    "saturation": lambda share: [
        L.RandomSaturation(((1 - share) / (2 - share), (1 + share) / (2 + share)), value_range=(0, 1))
    ],
    "hue": lambda share: [L.RandomHue((0.0, 2 * share), value_range=PIXELS)],
    "grayscale": lambda probability: [L.RandomGrayscale(probability)],
    "blur": lambda it: [
        L.RandomGaussianBlur((it.probability, it.probability), kernel_size=it.kernel, value_range=PIXELS)
    ],
    "erasing": lambda it: [
        L.RandomErasing((it.probability, it.probability), scale=it.area, fill_value=0.0, value_range=PIXELS)
    ],
}
MIXES = {"mixup": lambda alpha: L.MixUp(alpha), "cutmix": lambda alpha: L.CutMix((alpha, alpha))}


def _rotation(degrees):
    return L.RandomRotation(degrees / 360, fill_mode="constant")


def _translation(share):
    return L.RandomTranslation(share, share, fill_mode="constant")


class StepSeeds(keras.random.SeedGenerator):
    """Seeds for the draws of one training step: the key of the step, then 1, 2, 3, ...

    Keras asks a SeedGenerator for the next seed at each draw; this one computes it, where Keras' own would update a variable
    and make the result depend on which thread came first.

    Args:
        key: int32 scalar tensor, different for each step.
    """

    def __init__(self, key):
        self.key, self.draws = key, 0

    def next(self, ordered=True):
        self.draws += 1
        return tf.stack([self.key, tf.constant(self.draws, tf.int32)])


def augmentation(spec):
    """The layers an `AugmentSpec` asks for, in order; empty where it asks for nothing."""
    return [layer for name, make in LAYERS.items() if getattr(spec, name) for layer in make(getattr(spec, name))]


def mixing(spec):
    """The mixing layers an `AugmentSpec` asks for: none, mixup, cutmix or both."""
    return [make(getattr(spec, name)) for name, make in MIXES.items() if getattr(spec, name)]


def augment(images, layers, seeds):
    """Apply augmentation layers to a batch.

    Args:
        images: float32 tensor of shape (batch, height, width, channels), pixels 0 to 255.
        layers: what `augmentation` gave.
        seeds: the `StepSeeds` of this step.

    Returns:
        A tensor of the same shape.
    """
    shape = images.shape
    for layer in layers:
        images = layer.transform_images(images, layer.get_random_transformation(images, training=True, seed=seeds))
    return tf.ensure_shape(images, shape)


def mix(images, targets, layers, switch, seeds):
    """Mix the images of a batch with one another, and their targets likewise (Zhang et al. 2018; Yun et al. 2019).

    Args:
        images: float tensor of shape (batch, height, width, channels), or features of shape (batch, channels).
        targets: float32 tensor of shape (batch, classes).
        layers: what `mixing` gave, one or two layers.
        switch: with two layers, the share of batches that get the second.
        seeds: the `StepSeeds` of this step.

    Returns:
        Mixed images and targets, of the same shapes.
    """

    def mixed_by(layer):
        both = {"images": images, "labels": targets}
        transformation = layer.get_random_transformation(both, training=True, seed=seeds)
        return layer.transform_images(images, transformation), layer.transform_labels(targets, transformation)

    if not layers:
        return images, targets
    shape = images.shape
    if len(shape) == 2:  # Keras mixes images of four dimensions only
        images = images[:, None, None, :]
    if len(layers) == 1:
        mixed = mixed_by(layers[0])
    else:
        second = tf.random.stateless_uniform([], seeds.next()) < switch
        mixed = tf.cond(second, lambda: mixed_by(layers[1]), lambda: mixed_by(layers[0]))
    mixed_images = mixed[0][:, 0, 0] if len(shape) == 2 else mixed[0]
    return tf.ensure_shape(mixed_images, shape), tf.ensure_shape(mixed[1], targets.shape)
