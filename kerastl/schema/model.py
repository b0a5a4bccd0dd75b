"""`[model]`: which backbone, with which weights, and what stands on it."""

from dataclasses import dataclass
from typing import Any, Literal

from kerastl.strict import key


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
