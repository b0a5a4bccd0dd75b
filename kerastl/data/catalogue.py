"""`tfds:NAME[/CONFIG]`: any image classification dataset of TensorFlow Datasets."""

import re

import numpy as np

from kerastl.data.images import EncodedImages, Images, Source
from kerastl.errors import OFFLINE_REMEDY, MissingData, UserError, brief

SPLITS = {"train": ("train",), "validation": ("validation", "val", "dev"), "test": ("test",)}


def load_catalogue(spec, image_size):
    """Read a dataset of TensorFlow Datasets, downloading it where it is not prepared yet.

    Images of one fixed size become an array; others, and those of more than three channels or eight bits, stay encoded in
    memory and are decoded a batch at a time.

    Args:
        spec: a `DataSpec` whose name is `tfds:NAME` or `tfds:NAME/CONFIG`.
        image_size: side in pixels for images of varying size.

    Returns:
        A `Source`.

    Raises:
        MissingData: not prepared, and the download failed; or its files are damaged.
        UserError: the dataset has no `image` and `label`, its labels are no classes, it has no train split, or is a
            community's, whose code would be run.
    """
    import tensorflow_datasets as tfds

    name = spec.name.removeprefix("tfds:")
    _check_name(name)
    try:
        builder = tfds.builder(name, data_dir=spec.dir or None)
        builder.download_and_prepare()
    except Exception as error:
        where = spec.dir or "~/tensorflow_datasets"
        raise MissingData(
            f"tfds:{name}: not prepared in {where}, and the download failed ({brief(error)}). "
            f"Connect to the internet, or name the folder that has it with --data-dir. {OFFLINE_REMEDY}"
        ) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise UserError(f"tfds:{name}: found the features {', '.join(features)}; expected image and label")
    if not isinstance(features["label"], tfds.features.ClassLabel):
        raise UserError(
            f"tfds:{name}: found the label {features['label']}; expected a ClassLabel: one class for an image"
        )
    splits = {}
    for split, aliases in SPLITS.items():
        there = [alias for alias in aliases if alias in builder.info.splits]
        try:
            splits[split] = _read(tfds, builder, there[0], features, image_size) if there else None
        except Exception as error:
            raise MissingData(
                f"tfds:{name}: {there[0]} cannot be read ({brief(error)}); delete {builder.data_dir} and let it be prepared again"
            ) from None
    if splits["train"] is None:
        raise UserError(f"tfds:{name}: found the splits {', '.join(builder.info.splits)}; expected train")
    return Source(tuple(features["label"].names), **splits)


def _check_name(name):
    """TensorFlow Datasets downloads the code of a community's dataset and runs it: no recipe may ask for that."""
    if not re.fullmatch(r"\w+(/[\w.+-]+)?(:[\d.*]+)?", name):
        raise UserError(
            f"tfds:{name}: expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME/CONFIG:VERSION of TensorFlow Datasets' own catalogue; "
            "one of a community (NAMESPACE:NAME) would run code from the internet: prepare it yourself, then name it with --data-dir"
        )


def _read(tfds, builder, split, features, image_size):
    shape = features["image"].shape
    if None not in shape and shape[2] in (1, 3) and features["image"].dtype == np.uint8:
        whole = builder.as_dataset(split=split, batch_size=-1)
        pixels = whole["image"].numpy()
        return Images(np.repeat(pixels, 3, axis=3) if shape[2] == 1 else pixels, whole["label"].numpy())
    undecoded = builder.as_dataset(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    rows = [(row["image"], row["label"]) for row in undecoded.as_numpy_iterator()]
    return Images(EncodedImages([image for image, _ in rows], image_size), np.array([label for _, label in rows]))
