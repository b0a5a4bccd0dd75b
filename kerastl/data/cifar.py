"""CIFAR-10 and CIFAR-100 (Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009), from whatever layout
is there: TensorFlow Datasets', or keras.datasets'."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerastl.data.home import keras_home, prepared_home
from kerastl.data.images import Images, Source
from kerastl.errors import OFFLINE_REMEDY, MissingData, brief

CIFAR10 = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
CIFAR100_BY_SUPERCLASS = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
SUPERCLASS_OF = {name: superclass for superclass, members in CIFAR100_BY_SUPERCLASS.items() for name in members.split()}
CIFAR100 = tuple(sorted(SUPERCLASS_OF))
SUPERCLASSES = tuple(CIFAR100_BY_SUPERCLASS)


@dataclass(frozen=True)
class Layout:
    """Where keras.datasets keeps one of the two, and what its files hold."""

    class_names: tuple[str, ...]
    folder: str
    download: str
    train_files: tuple[str, ...]
    test_file: str
    label_key: str


LAYOUTS = {
    "cifar10": Layout(
        CIFAR10,
        "cifar-10-batches-py",
        "cifar-10-batches-py-target",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "labels",
    ),
    "cifar100": Layout(CIFAR100, "cifar-100-python", "cifar-100-python-target", ("train",), "test", "fine_labels"),
}
SHAPE = (32, 32, 3)
NOMINAL = {"train": 50_000, "test": 10_000}


def load_cifar(spec):
    """Read CIFAR-10 or CIFAR-100, downloading it where no folder was named and none is found.

    Args:
        spec: a `DataSpec`; `dir` is searched for both layouts, `labels` chooses CIFAR-100's 100 or 20 classes.

    Returns:
        A `Source` with train and test.

    Raises:
        MissingData: it is in none of the places, and cannot be downloaded.
    """
    layout = LAYOUTS[spec.name]
    found = find(spec)
    if found is None:
        found = _download(spec, layout)
    kind, folder = found
    read = {"tfds": _read_tfds, "keras": _read_keras}[kind]
    splits = {split: Images(*read(spec.name, layout, folder, split)) for split in ("train", "test")}
    return _label(spec, layout, splits)


def outline(spec):
    """Classes, image shape and nominal size without the files: what a dry run needs."""
    coarse = spec.name == "cifar100" and spec.labels == "coarse"
    return SUPERCLASSES if coarse else LAYOUTS[spec.name].class_names, SHAPE, NOMINAL


def find(spec):
    """Where the dataset is: ("tfds", its data_dir), ("keras", the folder of its batches), or None."""
    layout = LAYOUTS[spec.name]
    for base in _tfds_places(spec):
        if any(base.glob(f"{spec.name}/*/dataset_info.json")):
            return "tfds", base
    for base in _keras_places(spec):
        for folder in (base / layout.folder, base / layout.download / layout.folder):
            if (folder / layout.test_file).is_file():
                return "keras", folder
    return None


def _tfds_places(spec):
    return [Path(spec.dir)] if spec.dir else [prepared_home()]


def _keras_places(spec):
    return [Path(spec.dir), Path(spec.dir) / "datasets"] if spec.dir else [keras_home() / "datasets"]


def _download(spec, layout):
    looked = ", ".join(str(place) for place in dict.fromkeys([*_tfds_places(spec), *_keras_places(spec)]))
    if spec.dir:
        raise MissingData(
            f"{spec.name} is not in {looked}: expected {spec.name}/VERSION/dataset_info.json (TensorFlow Datasets) or "
            f"{layout.folder}/{layout.test_file} (keras.datasets). Correct --data-dir, or leave it out to download. {OFFLINE_REMEDY}"
        )
    import keras

    try:
        getattr(keras.datasets, spec.name).load_data()
    except Exception as error:
        raise MissingData(
            f"{spec.name} is not in {looked}, and the download failed ({brief(error)}). Connect to the internet, or "
            f"name the folder that has it with --data-dir. {OFFLINE_REMEDY}"
        ) from None
    return find(spec)


def _read_tfds(name, layout, folder, split):
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=str(folder))
        whole = builder.as_dataset(split=split, batch_size=-1)
    except Exception as error:
        raise MissingData(
            f"{folder}/{name}: cannot be read as TensorFlow Datasets ({brief(error)}); delete it and prepare it again"
        ) from None
    return whole["image"].numpy(), whole["label"].numpy()


def _read_keras(name, layout, folder, split):
    # Keras' own reader: these files are pickles, and it unpickles nothing but arrays.
    from keras.src.datasets.cifar import load_batch

    files = layout.train_files if split == "train" else (layout.test_file,)
    try:
        batches = [load_batch(str(folder / file), label_key=layout.label_key) for file in files]
        pixels = np.concatenate([batch[0] for batch in batches]).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(pixels, dtype=np.uint8), np.concatenate([batch[1] for batch in batches])
    except Exception as error:
        raise MissingData(
            f"{folder}: cannot be read as {name} ({brief(error)}); delete it and download it again"
        ) from None


def _label(spec, layout, splits):
    if spec.name == "cifar10":
        return Source(layout.class_names, splits["train"], test=splits["test"])
    superclasses = tuple(SUPERCLASS_OF[name] for name in CIFAR100)
    fine = Source(CIFAR100, splits["train"], test=splits["test"], superclasses=superclasses)
    if spec.labels == "fine":
        return fine
    coarse = np.array([SUPERCLASSES.index(superclass) for superclass in superclasses])
    splits = {split: Images(images.pixels, coarse[images.labels]) for split, images in splits.items()}
    return Source(SUPERCLASSES, splits["train"], test=splits["test"])
