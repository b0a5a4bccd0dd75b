"""What the automatic recipe chooses from, as tables: backbones at sizes, and what holds for how many images."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A backbone at an image size.

    Args:
        backbone: of keras.applications.
        image_size: side in pixels.
        billions: of multiplications for an image.
        accuracy: top-1 on ImageNet, published.
        source: where that stands.
    """

    backbone: str
    image_size: int
    billions: float
    accuracy: float
    source: str = "keras.io/api/applications"


# The cheapest first. Arithmetic of the backbone without its classifier, as `kerastl.model.cut.multiply_adds` counts it.
CANDIDATES = (
    Candidate("MobileNetV2", 160, 0.15, 0.688, "Sandler et al. 2018, with the published checkpoints"),
    Candidate("MobileNetV2", 224, 0.30, 0.713),
    Candidate("EfficientNetV2B0", 224, 0.72, 0.787),
    Candidate("EfficientNetV2B3", 300, 3.0, 0.820),
    Candidate("ConvNeXtTiny", 224, 4.5, 0.813),
    Candidate("EfficientNetV2S", 384, 8.4, 0.839),
    Candidate("ConvNeXtBase", 224, 15.4, 0.853),
)


@dataclass(frozen=True)
class Scale:
    """What holds up to so many training images.

    Args:
        images: to train on, at most.
        validation: share of them that is held out to decide whether fine-tuning helped.
        batch_size: images in a step.
        steps: of fine-tuning: with few images many passes, with many few.
    """

    images: float
    validation: float
    batch_size: int
    steps: int


# Few images: a larger share validates, as its number counts; the steps after BiT-HyperRule (Kolesnikov et al. 2020, section 3.3).
SCALES = (
    Scale(1_000, 0.2, 16, 250),
    Scale(10_000, 0.1, 32, 2_000),
    Scale(np.inf, 0.05, 64, 5_000),
)
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10
# The rate of the head, and what it is multiplied by for each group nearer to the stem (Howard & Ruder 2018, section 3.2: 1 / 2.6).
RATE, FALL = 3e-4, 1 / 2.6
SMOOTHING = 0.1  # share of a label spread over all classes while fine-tuning (Müller et al. 2019, section 3)
TUNED = ("stage3", "stage4", "head")  # what learns after the head was solved; what is before them is computed once
BACKWARD = 3.0  # a training step costs so many passes forward
