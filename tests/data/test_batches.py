"""Batches: every image once an epoch, functions of (seed, step), uint8 until the model."""

import os
import time
from itertools import chain

import numpy as np
import pytest
import tensorflow as tf

from kerastl.data.batches import AHEAD, evaluation_batches, ordered_batches, steps_per_epoch, training_batches
from kerastl.data.images import EncodedImages, Images
from kerastl.schema import AugmentSpec


def numbered(n, classes=5):
    pixels = np.zeros((n, 4, 4, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(n)
    return Images(pixels, np.arange(n) % classes)


def seen(dataset):
    return [batch[:, 0, 0, 0].numpy().tolist() for batch, _ in dataset]


@pytest.mark.parametrize(("n", "batch", "repeat"), [(100, 32, 1), (97, 32, 1), (5, 64, 1), (33, 32, 1), (20, 8, 3)])
def test_every_image_as_often_as_asked_in_even_batches(n, batch, repeat):
    images, epochs = numbered(n), 3
    steps = steps_per_epoch(len(images), batch, repeat)
    batches = seen(training_batches(images, 5, batch, epochs, seed=0, repeat=repeat))
    assert len(batches) == steps * epochs
    sizes = [len(b) for b in batches]
    assert max(sizes) <= batch and max(sizes) - min(sizes) <= 1
    orders = [list(chain.from_iterable(batches[e * steps : (e + 1) * steps])) for e in range(epochs)]
    for order in orders:
        assert sorted(order) == sorted(list(range(n)) * repeat)
    assert orders[0] != orders[1] != orders[2]


def test_order_follows_from_the_seed():
    one, same, other = (seen(training_batches(numbered(50), 5, 16, 2, seed=s)) for s in ([3, 0], [3, 0], [3, 1]))
    assert one == same != other


def test_any_step_can_be_made_without_those_before():
    spec = AugmentSpec(flip="horizontal", rotation=10.0, brightness=0.2, mixup=0.5, cutmix=0.5)
    images = Images(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), np.arange(40) % 5)
    whole = list(training_batches(images, 5, 16, 3, seed=1, augment_spec=spec))
    later = list(training_batches(images, 5, 16, 3, seed=1, augment_spec=spec, first_step=4))
    assert len(later) == len(whole) - 4
    for (x, y), (again_x, again_y) in zip(whole[4:], later, strict=True):
        np.testing.assert_array_equal(x, again_x)
        np.testing.assert_array_equal(y, again_y)


def test_pixels_stay_uint8_without_augmentation_and_targets_are_one_hot():
    x, y = next(iter(training_batches(numbered(10), 5, 4, 1, seed=0)))
    assert x.dtype == tf.uint8 and y.dtype == tf.float32
    np.testing.assert_array_equal(np.sort(y.numpy(), axis=1)[:, -2:], [[0, 1]] * len(y))


def test_label_smoothing_spreads_a_share_over_all_classes():
    _, y = next(iter(training_batches(numbered(10), 5, 4, 1, seed=0, label_smoothing=0.1)))
    np.testing.assert_allclose(np.sort(y.numpy(), axis=1), [[0.02] * 4 + [0.92]] * len(y), rtol=1e-5)


def test_evaluation_keeps_the_order_and_every_image():
    batches = list(evaluation_batches(numbered(10), 5, 4))
    assert [len(x) for x, _ in batches] == [4, 4, 2]
    assert list(chain.from_iterable(seen(batches))) == list(range(10))
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]).argmax(1), np.arange(10) % 5)


def test_streamed_images_give_the_same_batches_as_images_in_memory(photos):
    folder = photos({"a": 6, "b": 5})
    paths = sorted(folder.rglob("*.png"))
    streamed = Images(EncodedImages(paths, 16), np.arange(11) % 2)
    in_memory = Images(streamed.pixels[:], streamed.labels)
    for make in (lambda i: training_batches(i, 2, 4, 2, seed=0), lambda i: evaluation_batches(i, 2, 4)):
        for (x, y), (same_x, same_y) in zip(make(streamed), make(in_memory), strict=True):
            np.testing.assert_array_equal(x, same_x)
            np.testing.assert_array_equal(y, same_y)


def test_views_of_a_set_take_turns_pass_by_pass():
    """Ten images in three versions, two passes an epoch: each pass shows every image once, in its next version."""
    images = numbered(30)
    batches = seen(training_batches(images, 5, 5, 3, seed=0, repeat=2, views=3))
    assert len(batches) == 3 * 4
    for epoch in range(3):
        shown = sorted(chain.from_iterable(batches[4 * epoch : 4 * epoch + 4]))
        passes = [2 * epoch, 2 * epoch + 1]
        assert shown == sorted(10 * ((one + image) % 3) + image for one in passes for image in range(10))


def test_images_in_the_order_asked_for():
    batches = list(ordered_batches(numbered(20), np.array([7, 3, 3, 11, 0]), 2))
    assert [batch[:, 0, 0, 0].numpy().tolist() for batch in batches] == [[7, 3], [3, 11], [0]]


def test_the_draws_of_a_batch_follow_from_its_first_place():
    """So that the second batch made alone is what it was among others."""
    images = Images(np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8), np.arange(12) % 5)
    draws = {"augment_spec": AugmentSpec(rotation=40.0, brightness=0.3), "seed": [1, 2]}
    whole = list(ordered_batches(images, np.arange(12), 4, **draws))
    (alone,) = ordered_batches(images, np.arange(4, 8), 4, **draws)
    np.testing.assert_array_equal(alone, whole[1])
    other = next(iter(ordered_batches(images, np.arange(12), 4, **{**draws, "seed": [1, 3]})))
    assert not np.array_equal(other, whole[0])


@pytest.mark.parametrize(
    ("images", "batch", "repeat", "steps"),
    [(10, 4, 1, 3), (8, 4, 1, 2), (3, 2, 3, 5), (19, 1, 10**16 + 1, 19 * (10**16 + 1))],
)
def test_steps_are_counted_in_whole_numbers(images, batch, repeat, steps):
    """A property test found that a float has too few digits."""
    assert steps_per_epoch(images, batch, repeat) == steps


def test_no_more_than_a_few_batches_are_held_for_a_reader_that_comes_and_goes():
    """So that memory is bounded, whatever the size of the dataset. TensorFlow's own choice grows with every burst."""

    class Counted:
        dtype, shape, reads = np.dtype(np.uint8), (8 * 400, 4, 4, 3), 0

        def __getitem__(self, places):
            self.reads += 1
            return np.zeros((len(places), 4, 4, 3), np.uint8)

    pixels = Counted()
    taken, batches = 0, iter(training_batches(Images(pixels, np.zeros(8 * 400, np.int64)), 2, 8, 1, seed=0))
    for burst in (1, 3, 5, 10, 20, 40, 80, 160):
        for _ in range(burst):
            next(batches)
        taken += burst
        time.sleep(0.1)
        assert pixels.reads - taken <= AHEAD + 2 * os.cpu_count() + 1
