"""The schema of a recipe: frozen dataclasses in which every key, default and bound stands once.

Read by `recipe`, printed by `kerastl keys`. Keras is not imported.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from kerastl.strict import key

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


def _check_file_name(name):
    """Files and folders are named after recipes and phases; a recipe may come from a stranger."""
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError(
            f"name: found {name!r}; expected letters, digits, spaces and . + - _, as files are named after it"
        )


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from and how they are split."""

    name: str = key(doc="cifar10, cifar100, digits, glyphs, tfds:NAME[/CONFIG] or folder:PATH")
    dir: str = key("", "folder that holds the data (empty: the usual places, then a download)")
    labels: Literal["fine", "coarse"] = key("fine", "which labels of CIFAR-100: 100 classes or 20")
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


@dataclass(frozen=True)
class Normalize:
    """Channel statistics of pixels scaled to 0..1."""

    mean: tuple[float, ...] = key(doc="three numbers between 0 and 1, for R, G, B", at_least=0.0, at_most=1.0)
    std: tuple[float, ...] = key(doc="three positive numbers, for R, G, B", above=0.0)

    def __post_init__(self):
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError(
                f"found {len(self.mean)} means and {len(self.std)} deviations; expected 3 of each, for R, G, B"
            )


@dataclass(frozen=True)
class HeadSpec:
    """Dense layers between the features and the classes; dropout stands before each dense layer."""

    widths: tuple[int, ...] = key((), "units of the hidden layers", at_least=1)
    activation: str = key("relu", "Keras activation of the hidden layers; linear for none")
    dropout: float | tuple[float, ...] = key(0.0, "one rate, or one before each dense layer", at_least=0.0, below=1.0)

    def __post_init__(self):
        if isinstance(self.dropout, tuple) and len(self.dropout) != len(self.widths) + 1:
            wanted = len(self.widths) + 1
            raise ValueError(
                f"dropout: found {len(self.dropout)} rates; expected one, or {wanted}: one before each of the {wanted} dense layers"
            )


@dataclass(frozen=True)
class ModelSpec:
    """The backbone, what is taken from it, and the head on top."""

    backbone: str = key(doc="a keras.applications name, SmallCNN, hub:PRESET (KerasHub) or a .keras file")
    weights: str = key("imagenet", "imagenet, none, glyphs (shipped, for the quickstart backbone) or a file")
    image_size: int = key(224, "side in pixels to which the graph resizes its input", at_least=1)
    features: str = key("avg", "avg, max, predictions, or a layer's name (the backbone is cut there and pooled)")
    preprocessing: Literal["backbone", "none"] | Normalize = key(
        "backbone", "the backbone's own, none, or mean and std"
    )
    head: HeadSpec = key(HeadSpec, "what stands between features and classes")
    options: dict[str, Any] = key(dict, "further arguments of the backbone's constructor, as alpha = 0.35")


@dataclass(frozen=True)
class CacheBudget:
    """The room that cached features may take."""

    disk: float = key(20e9, "bytes on disk, over all runs; the least recently used go first; 0 is off", at_least=0.0)
    ram: float = key(
        2e9, "bytes up to which a phase's features are held in memory, not read step by step", at_least=0.0
    )


@dataclass(frozen=True)
class TrainSpec:
    """What holds for all phases."""

    batch_size: int = key(64, "images in a step, over all devices", at_least=1)
    evaluation_batch: int = key(128, "images in a step without training", at_least=1)
    label_smoothing: float = key(0.0, "share of the label spread over all classes", at_least=0.0, below=1.0)
    class_weights: Literal["none", "balanced"] = key("none", "balanced: rare classes weigh as much as frequent ones")
    epochs_scale: float = key(1.0, "multiplies the epochs of every phase (at least one is left)", above=0.0)
    learning_rate_scale: float = key(1.0, "multiplies every learning rate", above=0.0)
    precision: Precision = key("float32", "of a training step; auto measures on this machine once")
    trunk_precision: Precision | None = key(None, "of the pass through frozen layers (absent: as precision)")
    views: int = key(0, "augmented views of each image that are cached; 0: new ones every epoch, no cache", at_least=0)
    cache_dtype: Literal["float32", "float16", "bfloat16"] = key("float32", "in which cached features are stored")
    cache_budget: CacheBudget = key(CacheBudget, "room for cached features")
    jit_compile: bool = key(False, "compile the steps with XLA")
    devices: Literal["auto", "cpu", "gpu", "tpu", "multi-worker"] = key(
        "auto", "what shares a batch; auto: all workers of TF_CONFIG, a TPU, every GPU, or the CPU"
    )
    lr_scaling: Literal["none", "linear"] = key(
        "none", "linear: rates are those of a batch of 64 and grow with batch_size (Goyal et al. 2017, section 2.1)"
    )
    deterministic: bool = key(
        False, "TensorFlow's deterministic operations: the same bits on every run, slower on a GPU"
    )
    trackers: tuple[Literal["mlflow", "wandb"], ...] = key((), "what follows the run beside TensorBoard")
    checkpoint_minutes: float = key(10.0, "the state is kept after each epoch, and so often within one", above=0.0)


@dataclass(frozen=True)
class LastLayers:
    last_layers: int = key(doc="how many weight-bearing layers learn, head included", at_least=1)


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    name: Literal["adam", "adamw", "sgd", "rmsprop", "lion"] = key("adam", "Keras optimizer")
    learning_rate: float | dict[str, float] = key(doc="one rate, or one for each trained group", above=0.0)
    momentum: float = key(0.0, "of SGD and RMSprop", at_least=0.0, below=1.0)
    nesterov: bool = key(False, "Nesterov momentum, SGD only")
    weight_decay: float = key(0.0, "decoupled decay per step, times the learning rate", at_least=0.0)
    clip_norm: float = key(0.0, "gradients of a group are scaled down to this norm, 0 is off", at_least=0.0)
    ema: float = key(0.0, "decay of the moving average of the weights, 0 is off", at_least=0.0, below=1.0)

    def __post_init__(self):
        if self.nesterov and self.name != "sgd":
            raise ValueError(f"nesterov: only sgd has it, found name = {self.name!r}")
        if self.momentum and self.name not in ("sgd", "rmsprop"):
            raise ValueError(f"momentum: only sgd and rmsprop have it, found name = {self.name!r}")


@dataclass(frozen=True)
class ScheduleSpec:
    name: Literal["constant", "step", "cosine", "one-cycle"] = key("constant", "how the rates move within the phase")
    every: float = key(10.0, "step: epochs between two drops", above=0.0)
    factor: float = key(0.1, "step: what a drop multiplies the rate by", above=0.0, below=1.0)
    warmup: float | None = key(
        None, "cosine, one-cycle: share of the phase in which the rate climbs (0 and 0.3)", at_least=0.0, below=1.0
    )

    def __post_init__(self):
        if self.warmup is not None and self.name not in ("cosine", "one-cycle"):
            raise ValueError(f"warmup: only cosine and one-cycle have it, found name = {self.name!r}")


@dataclass(frozen=True)
class EarlyStopping:
    patience: int = key(doc="epochs without improvement before the phase ends", at_least=1)
    monitor: Literal["val_loss", "val_accuracy"] = key("val_loss", "what has to improve")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training: who learns, how fast, how long."""

    name: str = key(doc="shown in progress bars, history and curves")
    trainable: Literal["all", "head"] | tuple[str, ...] | LastLayers = key(
        "all", "all, head, groups, or {last_layers = N}"
    )
    batch_norm: Literal["update", "freeze"] = key(
        "update", "do the trained groups' BatchNorm layers learn, or stay as they are"
    )
    batch_norm_momentum: Literal["auto"] | float = key(
        "auto", "of the moving statistics; auto keeps up with the phase's steps", at_least=0.0, below=1.0
    )
    epochs: int = key(doc="a whole number of passes", at_least=1)
    optimizer: OptimizerSpec = key(doc="a table {name, learning_rate, ...}")
    schedule: ScheduleSpec = key(ScheduleSpec, "constant when absent")
    early_stopping: EarlyStopping | None = key(None, "the phase then ends with its best weights")
    keep_best: bool = key(False, "end the phase with the weights of its lowest validation loss")
    image_size: int | None = key(None, "side in pixels in this phase (absent: the model's)", at_least=1)
    precision: Precision | None = key(None, "of this phase's steps (absent: train.precision)")

    def __post_init__(self):
        _check_file_name(self.name)
        rates = self.optimizer.learning_rate
        named = {"head": ("head",)}.get(self.trainable, self.trainable)
        if isinstance(rates, dict) and isinstance(named, tuple) and set(rates) != set(named):
            raise ValueError(
                f"learning_rate: found rates for {', '.join(rates)}; expected one for each of {', '.join(named)}"
            )
        if isinstance(self.trainable, tuple) and not self.trainable:
            raise ValueError("trainable: found an empty list; expected at least one group, or 'head'")

    @property
    def monitor(self):
        """What chooses the weights that the phase ends with, or None for the last ones."""
        return self.early_stopping.monitor if self.early_stopping else "val_loss" if self.keep_best else None


@dataclass(frozen=True)
class EvaluateSpec:
    flip: bool = key(False, "judge by the mean over each image and its mirror image; the saved model is the plain one")
    report: bool = key(True, "write report.html, the run as a page for people; kerastl report RUN writes it later")
    duplicates: Literal["near", "exact", "none"] = key(
        "near",
        "copies of test images among the training images that are looked for; near ones too: reads every image once more",
    )


@dataclass(frozen=True)
class ExportSpec:
    folder: str = key("saved_models", "where the exports go, in a sub-folder with the recipe's name")
    formats: tuple[Literal["keras", "h5", "saved_model", "onnx", "litert", "litert-float16", "litert-int8"], ...] = key(
        ("keras", "h5", "saved_model"), "what is written"
    )
    temperature: bool = key(False, "the exports divide by the fitted temperature themselves; labels.json then has none")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An experiment: data, model and phases.

    Made by `recipe` from a TOML file. All values are checked; `strict.dump` gives the plain table back.
    """

    description: str = key(doc="one line for the table of recipes")
    name: str = key("", "the file's name when absent")
    strategy: str = key("", "a named list of phases; beside [[phases]], the name of what they are a version of")
    seed: int = key(0, "fixes splits, order, augmentation, initial weights and dropout", at_least=0, at_most=2**32 - 1)
    data: DataSpec = key(doc="a table {name, ...}")
    augment: AugmentSpec = key(AugmentSpec, "nothing when absent")
    model: ModelSpec = key(doc="a table {backbone, ...}")
    train: TrainSpec = key(TrainSpec, "batch size and what holds for all phases")
    phases: tuple[Phase, ...] = key(doc="[[phases]] tables, or strategy = NAME")
    evaluate: EvaluateSpec = key(EvaluateSpec, "how the finished model is judged")
    export: ExportSpec = key(ExportSpec, "what is saved where")
    baseline: dict[str, Any] | None = key(
        None, "overrides (dotted keys) of a second run, compared with this one at the end"
    )

    def __post_init__(self):
        for name in (self.name, (self.baseline or {}).get("name")):
            _check_file_name(str(name or "unnamed"))
        if not self.phases:
            raise ValueError("phases: found none; expected at least one [[phases]] table, or strategy = NAME")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError(f"phases: found the names {', '.join(names)}; expected each once")
        judged = [phase.name for phase in self.phases if phase.monitor]
        if judged and not self.data.validation:
            raise ValueError(
                f"data.validation is 0, but the phase {judged[0]!r} chooses its weights on validation images; "
                "expected a share above 0, or no early_stopping and no keep_best"
            )
