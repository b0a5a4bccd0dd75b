"""The call, scikit-learn on features, and TensorFlow's transfer-learning tutorial on the same photos, splits and weights.

    python benchmarks/against_tutorial.py PHOTOS --weights FILE [--seeds 3] [--test 0.4] [--minutes 5] [--without-tutorial]

PHOTOS is a folder of class folders, FILE the ImageNet weights of MobileNetV2 without its top. For each seed the call chooses and
trains; the two others get its training and validation images together, and are judged on its test images. The call is compared with
each by McNemar's exact test on the answers of all seeds together. Seconds are of the clock, from images on disk to answers.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

import kerastl
from kerastl.evaluate.statistics import accuracy_interval, mcnemar

SIDE = 160  # pixels, as in the tutorial; scikit-learn's features are of what the call looks at


def backbone(weights, side):
    model = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(side, side, 3), pooling="avg")
    model.load_weights(weights)
    return model


def by_scikit_learn(weights, side, train, labels, test):
    """Features of each image and its mirror image, then ten lines."""
    model = backbone(weights, side)

    def features(pixels):
        return model.predict(pixels / 127.5 - 1, verbose=0, batch_size=64)

    x = np.concatenate([features(train), features(train[:, :, ::-1])])
    head = LogisticRegression(max_iter=1000).fit(x, np.tile(labels, 2))
    return head.predict(features(test))


def by_the_tutorial(weights, side, train, labels, test):
    """https://www.tensorflow.org/tutorials/images/transfer_learning: a head for ten epochs, then the upper layers for ten more."""
    base = backbone(weights, side)
    base.trainable = False
    image = keras.Input((side, side, 3))
    x = keras.layers.RandomRotation(0.2)(keras.layers.RandomFlip("horizontal")(image))
    x = keras.layers.Dropout(0.2)(base(keras.layers.Rescaling(1 / 127.5, offset=-1)(x), training=False))
    model = keras.Model(image, keras.layers.Dense(int(labels.max()) + 1)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = tf.data.Dataset.from_tensor_slices((train, labels)).shuffle(len(train)).batch(32).prefetch(2)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    model.fit(data, epochs=10, verbose=0)
    base.trainable = True
    for layer in base.layers[:100]:
        layer.trainable = False
    model.compile(keras.optimizers.RMSprop(1e-5), loss)
    model.fit(data, epochs=10, verbose=0)
    return model.predict(test, verbose=0).argmax(axis=1)


def by_the_call(spec, out):
    run = kerastl.train(spec, out, progress="quiet")
    with np.load(run.folder / "predictions_test.npz") as saved:
        return saved["probabilities"].argmax(axis=1), run.metrics["phases"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("photos")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", type=float, default=0.4)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--without-tutorial", action="store_true")
    asked = parser.parse_args()
    right, seconds = {}, {}

    def note(way, answers, labels, began):
        right.setdefault(way, []).append(answers == labels)
        seconds.setdefault(way, []).append(time.perf_counter() - began)

    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as folder, kerastl.speaking("quiet"):
            fixed = {
                "model.backbone": "MobileNetV2",
                "model.weights": asked.weights,
                "data.test": asked.test,
                "seed": seed,
            }
            began = time.perf_counter()
            spec = kerastl.automatic(asked.photos, asked.minutes, **fixed, **{"export.folder": f"{folder}/exports"})
            answers, phases = by_the_call(spec, f"{folder}/run")
            data = kerastl.load(spec.data, spec.model.image_size, seed)
            note("kerastl train", answers, data.test.labels, began)
            kept = "kept" if phases[-1]["best_epoch"] else "not kept"
            print(f"seed {seed}: {spec.model.image_size} pixels, fine-tuning {kept}", flush=True)
            for way, side, learn in (
                ("scikit-learn on features", spec.model.image_size, by_scikit_learn),
                ("TensorFlow's tutorial", SIDE, by_the_tutorial),
            ):
                if learn is by_the_tutorial and asked.without_tutorial:
                    continue
                keras.utils.set_random_seed(seed)
                began = time.perf_counter()
                data = kerastl.load(replace(spec.data, image_size=None), side, seed)
                train = data.train.joined(data.validation)
                note(
                    way,
                    learn(asked.weights, side, train.pixels[:], train.labels, data.test.pixels[:]),
                    data.test.labels,
                    began,
                )
    print("\n| way | test accuracy by seed | all of them [95%] | seconds by seed |\n|---|---|---|---|")
    for way, answers in right.items():
        every = np.concatenate(answers)
        low, high = accuracy_interval(int(every.sum()), len(every))
        each, clock = (
            ", ".join(form.format(it) for it in them)
            for form, them in (("{:.3f}", map(np.mean, answers)), ("{:.0f}", seconds[way]))
        )
        print(f"| {way} | {each} | {every.mean():.3f} [{low:.3f}, {high:.3f}] | {clock} |")
    first, *others = right
    for other in others:
        found = mcnemar(np.concatenate(right[first]), np.concatenate(right[other]))
        print(f"{first} against {other}: {found}")


if __name__ == "__main__":
    main()
