"""logs/ of a run, for TensorBoard: drawn from the rows of history.csv, so that no epoch stands there twice.

    train, validation   loss and accuracy by epoch, counted over all phases; train has the learning rate of each group as well,
                        the graph of the model, and some images of the first step as the network sees them
    test                the picture of answers, right and wrong

A process that takes up a run draws all of it anew: what another one had written when it was killed may be ahead of the state.
"""

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from kerastl.data.batches import training_batches
from kerastl.files import remove

LOGS = "logs"
SAMPLES = 8  # images
OF_VALIDATION = "val_"


class Curves:
    """A function of the rows of history.csv that writes those it has not seen.

    Args:
        folder: of the run.
        model: as it was built.
        data: `Data`.
        recipe: a `Recipe`.
    """

    def __init__(self, folder, model, data, recipe):
        self.folder, self.model, self.data, self.recipe = folder, model, data, recipe
        self.writers, self.seen = {}, 0

    def __call__(self, rows):
        self.writers = self.writers or self._begin()
        for epoch, row in enumerate(rows[self.seen :], start=self.seen + 1):
            for name, value in row.items():
                self._write(name, value, epoch)
        self.seen = len(rows)
        for writer in self.writers.values():
            writer.flush()

    def close(self):
        for writer in self.writers.values():
            writer.close()

    def _begin(self):
        train = _empty(self.folder, "train")
        graph = keras.callbacks.TensorBoard(train.parent)
        graph.set_model(self.model)
        graph.on_train_end()
        writers = {"train": tf.summary.create_file_writer(str(train))}
        if self.data.validation is not None:
            writers["validation"] = tf.summary.create_file_writer(str(_empty(self.folder, "validation")))
        with writers["train"].as_default():
            seen = first_images(self.model, self.data, self.recipe)
            tf.summary.image("samples", seen, 0, max_outputs=SAMPLES)
        return writers

    def _write(self, name, value, epoch):
        if name in ("phase", "epoch") or value is None:
            return
        with self.writers["validation" if name.startswith(OF_VALIDATION) else "train"].as_default():
            tag = name.removeprefix(OF_VALIDATION)
            tf.summary.scalar(f"learning_rate/{tag[3:]}" if tag.startswith("lr_") else tag, value, epoch)


def first_images(model, data, recipe):
    """Some images of the first training step as the network sees them: drawn, augmented, mixed and resized.

    Args:
        model: what `build_model` gave.
        data: `Data`.
        recipe: a `Recipe`.

    Returns:
        A uint8 array of shape (n, height, width, 3).
    """
    batches = training_batches(
        data.train,
        len(data.class_names),
        recipe.train.batch_size,
        1,
        seed=[recipe.seed, 0],
        repeat=recipe.data.repeat,
        augment_spec=recipe.augment,
    )
    pixels = next(iter(batches))[0][:SAMPLES]
    resize = [layer for layer in model.layers if isinstance(layer, keras.layers.Resizing)]
    for layer in resize[:1]:
        pixels = layer(tf.cast(pixels, tf.float32), training=False)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def show_answers(folder, picture):
    """Put the picture of answers into the logs of a run.

    Args:
        folder: of the run.
        picture: path of the PNG.
    """
    with Image.open(picture, formats=["PNG"]) as image:
        pixels = np.asarray(image.convert("RGB"))
    writer = tf.summary.create_file_writer(str(_empty(folder, "test")))
    with writer.as_default():
        tf.summary.image("answers", pixels[None], 0)
    writer.close()


def _empty(folder, name):
    """The folder of one of TensorBoard's runs, with nothing in it."""
    remove(folder / LOGS / name)
    return folder / LOGS / name
