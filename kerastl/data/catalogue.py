"""`tfds:NAME[/CONFIG]`: any image classification dataset of TensorFlow Datasets."""

import itertools
import re
from pathlib import Path

import numpy as np

from kerastl.data.cache import fingerprint, keep, remembered
from kerastl.data.home import prepared_home
from kerastl.data.images import EncodedImages, Images, Source
from kerastl.data.records import Records, index_records
from kerastl.errors import OFFLINE_REMEDY, MissingData, UserError, brief

# What stands under two keys of an example, as a class of tfds.features, and in words.
EXPECTED = (
    ("image", "Image", "an Image"),
    ("label", "ClassLabel", "a ClassLabel: one class for an image"),
)
SPLITS = {"train": ("train",), "validation": ("validation", "val", "dev"), "test": ("test",)}


def load_catalogue(spec, image_size):
    """Read a dataset of TensorFlow Datasets, downloading it where it is not prepared yet.

    Every record is read once, to know where it begins; whatever the size of the dataset, no more of it has to be held. Images
    of one fixed size keep it; others, and those of more than three channels or eight bits, become squares.

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
    where = spec.dir or prepared_home()
    try:
        builder = tfds.builder(name, data_dir=str(where))
        builder.download_and_prepare()
    except Exception as error:
        raise MissingData(
            f"tfds:{name}: not prepared in {where}, and the download failed ({brief(error)}). "
            f"Connect to the internet, or name the folder that has it with --data-dir. {OFFLINE_REMEDY}"
        ) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features):
        raise UserError(f"tfds:{name}: found the features {', '.join(features)}; expected image and label")
    for key, kind, told in EXPECTED:
        if not isinstance(features[key], getattr(tfds.features, kind)):
            raise UserError(f"tfds:{name}: found the {key} {features[key]}; expected {told}")
    stored_as = builder.info.file_format.value
    if stored_as != "tfrecord":
        raise UserError(
            f"tfds:{name}: found the files of {builder.data_dir} in the format {stored_as}; expected tfrecord: convert them "
            "with tfds convert_format"
        )
    there = builder.info.splits
    names = {split: found[0] for split, aliases in SPLITS.items() if (found := [it for it in aliases if it in there])}
    if "train" not in names:
        raise UserError(f"tfds:{name}: found the splits {', '.join(there)}; expected train")
    return _read(builder, names, spec, _size(features["image"], image_size))


def _check_name(name):
    """TensorFlow Datasets downloads the code of a community's dataset and runs it: no recipe may ask for that."""
    if not re.fullmatch(r"\w+(/[\w.+-]+)?(:[\d.*]+)?", name):
        raise UserError(
            f"tfds:{name}: expected tfds:NAME, tfds:NAME/CONFIG or tfds:NAME/CONFIG:VERSION of TensorFlow Datasets' own catalogue; "
            "one of a community (NAMESPACE:NAME) would run code from the internet: prepare it yourself, then name it with --data-dir"
        )


def _size(feature, image_size):
    """Height and width of images that are all of one size, and that Pillow reads as they are; or the side of others."""
    height, width, channels = feature.shape
    fixed = height and width and channels in (1, 3) and feature.dtype == np.uint8
    return (height, width) if fixed else image_size


def _read(builder, names, spec, size):
    """The `Source`: the records of all splits as one sequence, cut into splits again."""
    infos = [builder.info.splits[alias] for alias in names.values()]
    shards = [Path(path) for info in infos for path in info.filepaths]

    def make(folder=None):
        firsts = np.cumsum([0, *(info.num_shards for info in infos)])
        return {"index": np.concatenate([_index(builder, *pair) for pair in zip(infos, firsts.tolist(), strict=False)])}

    about = {"index of": fingerprint(shards)} if spec.cache == "disk" else None
    index = (remembered(about, spec, {}, make)[1] if about else make())["index"]
    encoded = EncodedImages(Records(shards, index), size)
    pixels, digests, broken = keep(encoded, spec, shards, known=index["digest"].copy())
    if broken:
        place, why = next(iter(broken.items()))
        told = f"{encoded.sequence[place]} cannot be read as an image ({why})"
        others = f", nor can {len(broken) - 1:,} others" if len(broken) > 1 else ""
        raise MissingData(f"{spec.name}: {told}{others}; {_again(builder)}")
    images = Images(pixels, index["label"].copy(), digests)
    ends = np.cumsum([0, *(info.num_examples for info in infos)]).tolist()
    splits = {split: images.subset(slice(*pair)) for split, pair in zip(names, itertools.pairwise(ends), strict=True)}
    return Source(tuple(builder.info.features["label"].names), **splits)


def _index(builder, info, first):
    """Of the records of one split, whose shards are counted from `first`."""
    try:
        index = index_records([Path(path) for path in info.filepaths], first)
        if len(index) != info.num_examples:
            raise MissingData(f"found {len(index):,} records, expected {info.num_examples:,}")
    except Exception as error:
        raise MissingData(
            f"tfds:{builder.name}: {info.name} cannot be read ({brief(error)}); {_again(builder)}"
        ) from None
    return index


def _again(builder):
    return f"delete {builder.data_dir} and let it be prepared again"
