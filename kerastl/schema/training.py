"""`[train]` and `[[phases]]`: who learns, how fast, how long, and what holds for all phases."""

import re
from dataclasses import dataclass
from typing import Literal

from kerastl.strict import key

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


LONGEST_NAME = 150  # bytes: file systems take 255, and a name gets endings


def check_file_name(name):
    """Files and folders are named after recipes and phases; a recipe may come from a stranger."""
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError(
            f"name: found {name!r}; expected letters, digits, spaces and . + - _, as files are named after it"
        )
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"name: found {len(name.encode())} bytes, {name[:20]}...; expected at most {LONGEST_NAME}, as files are named after it"
        )


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
    views: Literal["auto"] | int = key(
        "auto",
        "augmented views of each image that are cached; auto: as many as the epochs can use and the budget holds; 0: new ones "
        "every epoch, no cache",
        at_least=0,
    )
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
    minutes: float | None = key(
        None,
        "of the phases together: they end then, with the best weights so far (absent: no end but their own)",
        above=0.0,
    )
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
    solve: Literal["logistic"] | None = key(
        None,
        "logistic: the head is solved to its optimum on the features of all images, in place of epochs and an optimizer",
    )
    epochs: int | None = key(None, "a whole number of passes; required without solve", at_least=1)
    optimizer: OptimizerSpec | None = key(None, "a table {name, learning_rate, ...}; required without solve")
    schedule: ScheduleSpec = key(ScheduleSpec, "constant when absent")
    early_stopping: EarlyStopping | None = key(None, "the phase then ends with its best weights")
    keep_best: bool = key(False, "end the phase with the weights of its lowest validation loss")
    only_if_better: bool = key(
        False,
        "the phase counts only if its best validation loss, or early_stopping.monitor, is better than that before it; the weights "
        "go back otherwise",
    )
    image_size: int | None = key(None, "side in pixels in this phase (absent: the model's)", at_least=1)
    precision: Precision | None = key(None, "of this phase's steps (absent: train.precision)")

    def __post_init__(self):
        check_file_name(self.name)
        if self.solve:
            self._check_solved()
            return
        if missing := [name for name in ("epochs", "optimizer") if getattr(self, name) is None]:
            doc = type(self).__dataclass_fields__[missing[0]].metadata["doc"]
            raise ValueError(f"{missing[0]}: is missing; expected {doc}")
        rates = self.optimizer.learning_rate
        named = {"head": ("head",)}.get(self.trainable, self.trainable)
        if isinstance(rates, dict) and isinstance(named, tuple) and set(rates) != set(named):
            raise ValueError(
                f"learning_rate: found rates for {', '.join(rates)}; expected one for each of {', '.join(named)}"
            )
        if isinstance(self.trainable, tuple) and not self.trainable:
            raise ValueError("trainable: found an empty list; expected at least one group, or 'head'")

    def _check_solved(self):
        """A solved head takes no steps: what a step has is refused."""
        if self.trainable not in ("head", ("head",)):
            raise ValueError(f'trainable: found {self.trainable!r} beside solve = {self.solve!r}; expected "head"')
        plain = {name: it.default for name, it in type(self).__dataclass_fields__.items()}
        plain["schedule"] = ScheduleSpec()
        for name in ("epochs", "optimizer", "schedule", "early_stopping", "keep_best", "only_if_better", "precision"):
            if getattr(self, name) != plain[name]:
                raise ValueError(f"{name}: a phase with solve = {self.solve!r} has no steps; expected no {name}")

    @property
    def monitor(self):
        """What chooses the weights that the phase ends with, or None for the last ones."""
        if self.early_stopping:
            return self.early_stopping.monitor
        return "val_loss" if self.keep_best or self.only_if_better else None
