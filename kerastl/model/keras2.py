"""`.h5` files that Keras 2 wrote: settings that are no more in Keras 3, left out where they say what is so in any case."""

ANY = object()
WITHOUT_GROUPS = {"groups": 1}
SEPARABLE = {**WITHOUT_GROUPS, "kernel_initializer": ANY, "kernel_regularizer": None, "kernel_constraint": None}
# Class -> setting -> the value that means what Keras 3 does without it. Another value stays, and Keras refuses it.
NO_MORE = {
    "DepthwiseConv1D": WITHOUT_GROUPS,
    "DepthwiseConv2D": WITHOUT_GROUPS,
    "Conv1DTranspose": WITHOUT_GROUPS,
    "Conv2DTranspose": WITHOUT_GROUPS,
    "Conv3DTranspose": WITHOUT_GROUPS,
    "SeparableConv1D": SEPARABLE,
    "SeparableConv2D": SEPARABLE,
    "BatchNormalization": {"renorm": False, "fused": ANY, "virtual_batch_size": None, "adjustment": None},
}
REMEDY = (
    "it was saved by Keras 2: where that can open it (pip install tf_keras; tf_keras.models.load_model), model.export(FOLDER) writes a "
    "SavedModel, with which kerastl answers"
)


def is_keras2(version):
    """Whether a file's `keras_version` is of Keras 2 or before it."""
    return bool(version) and version.split(".")[0] in ("1", "2")


def as_keras3(config):
    """The config of a model without the settings of `NO_MORE`.

    Args:
        config: what JSON gave.

    Example:
        >>> as_keras3({"class_name": "DepthwiseConv2D", "config": {"groups": 1, "strides": [2, 2]}})
        {'class_name': 'DepthwiseConv2D', 'config': {'strides': [2, 2]}}
    """
    if isinstance(config, list):
        return [as_keras3(item) for item in config]
    if not isinstance(config, dict):
        return config
    made = {key: as_keras3(value) for key, value in config.items()}
    no_more = NO_MORE.get(made["class_name"], {}) if isinstance(made.get("class_name"), str) else {}
    if no_more and isinstance(made.get("config"), dict):
        made["config"] = {
            key: value
            for key, value in made["config"].items()
            if key not in no_more or (no_more[key] is not ANY and no_more[key] != value)
        }
    return made
