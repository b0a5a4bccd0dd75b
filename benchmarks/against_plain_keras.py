"""The script a user would paste, against cifar10-fast: same images, same backbone and weights, one after the other.

    python benchmarks/against_plain_keras.py DATA_DIR RESNET_WEIGHTS [IMAGES]

The plain script: float arrays, a Resizing layer to 224, two epochs of everything at Adam 1e-5, then four of the head at 1e-3,
batch 64. Both clocks run from images in memory to the trained model, compilation included; judging on the test split is
outside of both. The feature cache is empty at the start.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["KERAS_HOME"] = tempfile.mkdtemp()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from kerastl import build_model, fit, layer_groups, load, plan, recipe
from kerastl.evaluate.metrics import judge, predict_probabilities, shown


def plain_script(images, labels, weights):
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(224, 224, 3))
    backbone = keras.Model(backbone.input, backbone.get_layer("conv4_block6_out").output)
    backbone.load_weights(weights)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Resizing(224, 224)(inputs)
    x = keras.applications.resnet50.preprocess_input(x)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    x, y = images.astype("float32"), keras.utils.to_categorical(labels, 10)
    model.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=2, verbose=2)
    backbone.trainable = False
    model.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=4, verbose=2)
    return model


def with_kerastl(spec, data):
    keras.utils.set_random_seed(spec.seed)
    model = build_model(spec.model, data.shape, 10)
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    fit(model, data, spec, plans, groups, Path(tempfile.mkdtemp()))
    return model


def timed(train, test):
    began = time.perf_counter()
    model = train()
    seconds = time.perf_counter() - began
    return seconds, judge(predict_probabilities(model, test), test.labels, [str(i) for i in range(10)])


if __name__ == "__main__":
    data_dir, weights, limit = sys.argv[1], sys.argv[2], int((*sys.argv, "2000")[3])
    changes = {"data.dir": data_dir, "model.weights": weights, "data.limit": limit, "data.validation": 0.0}
    spec = recipe("cifar10-fast", **changes)
    data = load(spec.data, 224, spec.seed)
    test = data.test.subset(range(1000))  # at 224 all of them would take minutes, outside of both clocks
    ours, report = timed(lambda: with_kerastl(spec, data), test)
    print(f"cifar10-fast    {ours:8.1f} s   test {shown(report)}", flush=True)
    keras.backend.clear_session()
    theirs, plain = timed(lambda: plain_script(data.train.pixels, data.train.labels, weights), test)
    print(f"plain script    {theirs:8.1f} s   test {shown(plain)}")
    print(f"{limit} images: {theirs / ours:.1f} times less time; accuracy {report.accuracy - plain.accuracy:+.4f}")
