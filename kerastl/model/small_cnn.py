"""A small convolutional network to train from scratch: the yardstick that a pretrained backbone has to beat."""

import keras

FILTERS = (16, 32, 64, 128, 512)


def small_cnn(input_shape):
    """Five blocks of 3x3 convolution, ReLU, batch normalisation and 2x2 max pooling.

    With a head of 256 and 100 units it has 846,308 parameters that learn.

    Args:
        input_shape: (height, width, 3), sides of at least 32 pixels.

    Returns:
        A `keras.Model` from images to (height / 32, width / 32, 512) features.
    """
    x = image = keras.Input(input_shape)
    for block, filters in enumerate(FILTERS, start=1):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block{block}_bn", momentum=0.9)(x)
        x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
    return keras.Model(image, x, name="small_cnn")
