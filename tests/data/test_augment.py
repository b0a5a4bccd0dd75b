"""Augmentation: each key does what it says, and only the key of the step decides."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.data.augment import LAYERS, StepSeeds, augment, augmentation, mix, mixing
from kerastl.schema import Affine, AugmentSpec, Blur, Erasing, Perspective

N = 200
SETTINGS = {
    "flip": "horizontal",
    "rotation": 15.0,
    "translation": 0.1,
    "affine": Affine(rotation=15.0, translation=0.1),
    "zoom": 0.2,
    "shear": 0.2,
    "perspective": Perspective(scale=0.5, probability=0.5),
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "grayscale": 0.5,
    "blur": Blur(kernel=3, probability=0.5),
    "erasing": Erasing(probability=0.5, area=(0.1, 0.3)),
}


def pictures(n=N):
    return tf.constant(np.random.default_rng(0).integers(30, 220, (n, 12, 12, 3)).astype("float32"))


def changed(spec, images=None, key=7):
    return augment(pictures() if images is None else images, augmentation(spec), StepSeeds(tf.constant(key))).numpy()


def test_every_row_of_the_table_is_tested():
    assert set(SETTINGS) == set(LAYERS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_key_changes_images_and_its_step_alone_decides(name):
    spec = AugmentSpec(**{name: SETTINGS[name]})
    once, again, other = changed(spec), changed(spec), changed(spec, key=8)
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    assert once.shape == (N, 12, 12, 3) and once.min() >= 0 and once.max() <= 255.01
    different = (np.abs(once - pictures()) > 0.5).any(axis=(1, 2, 3)).mean()
    if name in ("flip", "grayscale", "erasing", "blur", "perspective"):
        assert 0.3 < different < 0.7, "half of the images, as the probability says"
    else:
        assert different > 0.9


def test_nothing_asked_nothing_done():
    assert augmentation(AugmentSpec()) == [] and mixing(AugmentSpec()) == []


@pytest.mark.parametrize("name", ["contrast", "brightness", "saturation"])
def test_colour_changes_go_both_ways(name):
    """Keras reads a single number differently in each layer; these went upwards only, or clipped at 255 instead of 1."""
    images = pictures()
    measure = {
        "contrast": lambda x: x.std(axis=(1, 2)).mean(axis=1),
        "brightness": lambda x: x.mean(axis=(1, 2, 3)),
        "saturation": lambda x: ((x.max(3) - x.min(3)) / x.max(3)).mean(axis=(1, 2)),
    }[name]
    before, after = measure(images.numpy()), measure(changed(AugmentSpec(**{name: 0.3}), images))
    assert 0.3 < (after > before).mean() < 0.7


def test_hue_moves_no_further_than_its_share_of_the_circle():
    red = tf.tile(tf.constant([[[[200.0, 50.0, 50.0]]]]), (N, 4, 4, 1))
    hue = tf.image.rgb_to_hsv(changed(AugmentSpec(hue=0.1), red) / 255)[:, 0, 0, 0].numpy()
    moved = np.minimum(hue, 1 - hue)
    assert 0.08 < moved.max() <= 0.1001


def test_grayscale_is_grey():
    grey = changed(AugmentSpec(grayscale=1.0))
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=0.01)


def test_erasing_blanks_the_area_it_names():
    blank = (changed(AugmentSpec(erasing=Erasing(1.0, (0.1, 0.3)))) == 0).all(axis=3).mean(axis=(1, 2))
    assert blank.min() > 0.02 and blank.max() < 0.45 and 0.08 < blank.mean() < 0.3


@pytest.mark.parametrize("spec", [AugmentSpec(mixup=0.8), AugmentSpec(cutmix=0.8), AugmentSpec(mixup=0.8, cutmix=0.8)])
def test_mixed_targets_follow_the_mixed_pixels(spec):
    """Image i is all i's colour, so the share of a colour in a mixed image has to be the share in its target."""
    n = 16
    images = tf.constant(np.broadcast_to(np.arange(n, dtype="float32")[:, None, None, None], (n, 20, 20, 3)))
    targets = tf.one_hot(tf.range(n), n)
    for key in range(4):
        x, y = mix(images, targets, mixing(spec), 0.5, StepSeeds(tf.constant(key)))
        np.testing.assert_allclose(y.numpy().sum(axis=1), 1, rtol=1e-5)
        expected = (y.numpy() * np.arange(n)).sum(axis=1)
        np.testing.assert_allclose(x.numpy().mean(axis=(1, 2, 3)), expected, atol=0.1 * n)
    assert (y.numpy().max(axis=1) < 1).any()


def test_the_switch_chooses_between_mixup_and_cutmix():
    images = tf.constant(np.broadcast_to(np.arange(8, dtype="float32")[:, None, None, None], (8, 16, 16, 3)))
    spec = AugmentSpec(mixup=0.8, cutmix=0.8)

    def flat(switch):  # mixup leaves one colour in an image, cutmix two
        x, _ = mix(images, tf.one_hot(tf.range(8), 8), mixing(spec), switch, StepSeeds(tf.constant(3)))
        return (x.numpy().std(axis=(1, 2, 3)) < 1e-3).all()

    assert flat(0.0) and not flat(1.0)
