"""How a model takes its pictures: where height, width and channels stand, and what is made of RGB pixels for that."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerastl.errors import UserError

ANY_SIZE = 224  # pixels: of pictures for a model that takes any size
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, as Pillow makes grey of them


@dataclass(frozen=True)
class Layout:
    """How pictures are given to a model.

    Args:
        size: height and width.
        given: from a batch of shape (n, height, width, 3) to what the model takes.
        said: what is no matter of course about that, a phrase each.
        channels_last: whether the model has its channels behind height and width.
    """

    size: tuple[int, int]
    given: Callable
    said: tuple[str, ...] = ()
    channels_last: bool = True


def _grey(images):
    return np.rint(np.asarray(images, np.float32) @ BRIGHTNESS)


GREY = "takes grey pictures: it is given the brightness of the pixels"
FIRST = (
    "takes channels first, as models of PyTorch do: it is given raw pixels, 0 to 255; one that was trained on scaled pixels has to "
    "scale them itself"
)
# The sides behind the batch, where "any" is a side of the picture -> what is given, what is said, and whether channels are last.
LAYOUTS = (
    (("any", "any", 3), lambda images: images, (), True),
    (("any", "any", 1), lambda images: _grey(images)[..., None], (GREY,), True),
    ((3, "any", "any"), lambda images: np.ascontiguousarray(np.moveaxis(images, 3, 1)), (FIRST,), False),
    ((1, "any", "any"), lambda images: _grey(images)[:, None], (GREY,), False),
    (("any", "any"), _grey, (GREY,), True),
)


def layout_of(shape, path):
    """The `Layout` of a model.

    Args:
        shape: of its input, batch first, with None where it is open.
        path: of the model, for errors.

    Raises:
        UserError: it takes no images.

    Example:
        >>> layout_of((None, 3, 32, 48), "m.onnx").size
        (32, 48)
    """
    for sides, given, said, channels_last in LAYOUTS:
        if len(shape) == len(sides) + 1 and all(
            want in ("any", side) for want, side in zip(sides, shape[1:], strict=True)
        ):
            size = [side for want, side in zip(sides, shape[1:], strict=True) if want == "any"]
            if None in size:
                size = [side or ANY_SIZE for side in size]
                said = (*said, f"takes pictures of any size: it is given {size[1]} x {size[0]} pixels")
            return Layout((int(size[0]), int(size[1])), given, said, channels_last)
    raise UserError(
        f"{path}: takes inputs of shape {shape}; expected images, (batch, height, width, 3), in grey (batch, height, width, 1), or "
        "with the channels first"
    )
