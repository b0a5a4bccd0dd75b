"""`[data]` and `[augment]`: where the images come from, how they are split, and what is done to them."""

from dataclasses import dataclass
from typing import Literal

from kerastl.strict import key


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from and how they are split."""

    name: str = key(doc="cifar10, cifar100, digits, glyphs, tfds:NAME[/CONFIG] or folder:PATH")
    dir: str = key("", "folder that holds the data (empty: the usual places, then a download)")
    labels: Literal["fine", "coarse"] = key("fine", "which labels of CIFAR-100: 100 classes or 20")
    splits: Literal["auto", "none"] = key(
        "auto",
        "of a folder: auto takes train, val, test and their likes for splits; none takes every sub-folder for a class",
    )
    validation: float = key(0.1, "stratified, seeded share of the training split", at_least=0.0, below=1.0)
    test: float = key(0.2, "share held out as test where the source has no test split", above=0.0, below=1.0)
    limit: int | None = key(None, "keep so many training images (stratified, seeded; validation included)", at_least=1)
    repeat: int = key(1, "passes over the training images in one epoch", at_least=1)
    image_size: int | None = key(
        None, "side in pixels at which a folder's images are kept (absent: the model's)", at_least=1
    )
    on_error: Literal["fail", "skip"] = key("fail", "broken images of a folder: fail names them, skip leaves them out")
    cache: Literal["auto", "ram", "disk", "none"] = key(
        "auto",
        "decoded images of a folder or tfds: in memory, in a file, or decoded at each use; auto: ram up to 2 GiB",
    )
    cache_budget: float = key(
        100e9, "bytes on disk for cache = disk, over all runs; the least recently used go first", at_least=0.0
    )


@dataclass(frozen=True)
class Perspective:
    scale: float = key(0.5, "how far the corners may move, as a share of half the side", at_least=0.0, at_most=1.0)
    probability: float = key(0.5, "share of the images changed", at_least=0.0, at_most=1.0)


@dataclass(frozen=True)
class Affine:
    rotation: float = key(0.0, "degrees to either side", at_least=0.0, at_most=180.0)
    translation: float = key(0.0, "share of the side, in each direction", at_least=0.0, at_most=1.0)


@dataclass(frozen=True)
class Blur:
    kernel: int = key(3, "side of the Gaussian kernel in pixels", at_least=1)
    probability: float = key(1.0, "share of the images changed", at_least=0.0, at_most=1.0)


@dataclass(frozen=True)
class Erasing:
    probability: float = key(0.25, "share of the images changed", at_least=0.0, at_most=1.0)
    area: tuple[float, ...] = key(
        (0.02, 0.33), "least and largest erased share of the image", at_least=0.0, at_most=1.0
    )

    def __post_init__(self):
        if len(self.area) != 2 or self.area[0] > self.area[1]:
            raise ValueError(f"area: found {list(self.area)}; expected [least, largest]")


@dataclass(frozen=True)
class AugmentSpec:
    """Random changes of the training images, at native size, in this order."""

    flip: Literal["none", "horizontal", "vertical", "both"] = key("none", "random mirror images")
    rotation: float = key(0.0, "degrees to either side", at_least=0.0, at_most=180.0)
    translation: float = key(0.0, "share of the side, in each direction", at_least=0.0, at_most=1.0)
    affine: Affine | None = key(None, "a second rotation and translation, drawn on its own")
    zoom: float = key(0.0, "share of the side, in or out", at_least=0.0, below=1.0)
    shear: float = key(0.0, "share of the side", at_least=0.0, at_most=1.0)
    perspective: Perspective | None = key(None, "random view from the side")
    brightness: float = key(0.0, "share of full brightness added or taken", at_least=0.0, at_most=1.0)
    contrast: float = key(0.0, "relative change: 0.3 means times 0.7 to 1.3", at_least=0.0, at_most=1.0)
    saturation: float = key(0.0, "relative change: 0.3 means times 0.7 to 1.3", at_least=0.0, at_most=1.0)
    hue: float = key(0.0, "share of the colour circle, to either side", at_least=0.0, at_most=0.5)
    grayscale: float = key(0.0, "share of the images made grey", at_least=0.0, at_most=1.0)
    blur: Blur | None = key(None, "Gaussian blur")
    erasing: Erasing | None = key(None, "random rectangle blanked (Zhong et al. 2020)")
    mixup: float = key(0.0, "alpha of mixup (Zhang et al. 2018), 0 is off", at_least=0.0)
    cutmix: float = key(0.0, "alpha of cutmix (Yun et al. 2019), 0 is off", at_least=0.0, at_most=1.0)
    mix_switch: float = key(0.5, "with both on: share of the batches that get cutmix", at_least=0.0, at_most=1.0)
    mix_in: Literal["pixels", "features"] = key(
        "pixels", "features: where they are cached, mix what the frozen layers give (Verma et al. 2019)"
    )
