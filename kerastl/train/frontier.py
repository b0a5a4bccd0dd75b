"""The frozen frontier: how far into the graph nothing changes in a phase, and whether to compute it only once.

A layer is still while it has nothing that learns, no statistics that move and no draw: then it gives the same for the same
image in every epoch. The frontier is the last place before which all layers are still and where the graph can be cut.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from kerastl.errors import RecipeError
from kerastl.model.cut import cuts, multiply_adds
from kerastl.model.graph import INPUT_LAYERS
from kerastl.schema import AugmentSpec

MIXING = ("mixup", "cutmix", "mix_switch", "mix_in")  # the keys of `augment` that take a whole batch
WORTH = 1.1  # the least gain for which features are cached
# With views = "auto": a view is seen so often at least, there are so many at most, and so many for a head that is solved.
SEEN, MOST_VIEWS, SOLVED_VIEWS = 2, 10, 4
# augment.flip -> the axes of a batch that are turned, for each version of an image that there is, the image itself first.
MIRRORS = {"horizontal": ((), (2,)), "vertical": ((), (1,)), "both": ((), (2,), (1,), (1, 2))}
ITEM_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# Layers that draw while training, and what has to be 0 so that they do not.
DRAWS = {
    "Dropout": "rate",
    "SpatialDropout1D": "rate",
    "SpatialDropout2D": "rate",
    "AlphaDropout": "rate",
    "GaussianDropout": "rate",
    "GaussianNoise": "stddev",
    "StochasticDepth": "drop_path_rate",
    "DropPath": "rate",
}


@dataclass(frozen=True)
class Frontier:
    """Where the still part of the graph ends in a phase, and what is done about it.

    Args:
        layer: the last layer of the trunk; None where nothing but resize and preprocessing is still.
        shape: of its output for one image.
        bytes: what the features of all images take.
        views: augmented versions of the training images among them; 1 where there is no augmentation.
        gain: multiplications of the phase without the cache, over those with it.
        why_not: why the features are not cached; empty where they are.
        trunk: names of the layers up to there.
        via: an earlier frontier that a later phase needs, from which these features are computed; or None.
    """

    layer: str | None
    shape: tuple[int, ...] = ()
    bytes: int = 0
    views: int = 1
    gain: float = 1.0
    why_not: str = ""
    trunk: tuple[str, ...] = ()
    via: str | None = None

    @property
    def cached(self):
        return not self.why_not


def quiet_layers(groups, trained):
    """The layers of frozen groups that would draw while training: they run as at inference, like all that is frozen there.

    Args:
        groups: what `layer_groups` gave.
        trained: names of the layers that learn.

    Returns:
        Names of layers.
    """
    frozen = [layers for layers in groups.values() if not any(layer.name in trained for layer in layers)]
    return tuple(layer.name for layers in frozen for layer in layers if type(layer).__name__ in DRAWS)


def find_frontier(model, trained, quiet, recipe, epochs, images, later=()):
    """Find the frontier of a phase and decide whether to cache there.

    Args:
        model: at the phase's image size.
        trained: names of the layers that learn.
        quiet: what `quiet_layers` gave.
        recipe: a `Recipe`.
        epochs: of the phase; None where its head is solved, which needs the features once.
        images: how many (train, validate).
        later: frontiers of later phases that this one may start from, because they see the same there.

    Returns:
        A `Frontier`.

    Raises:
        RecipeError: cutmix in features that have no places.
    """
    moving = [it for it in model.layers if it.name in trained or (_draws(it) and it.name not in quiet)]
    still = model.layers[: min((model.layers.index(layer) for layer in moving), default=len(model.layers))]
    cut = [layer for layer in cuts(model) if layer in still][-1]
    trunk = model.layers[: model.layers.index(cut) + 1]
    inside = arithmetic(trunk)
    if not inside:
        return Frontier(None, why_not="nothing before the first layer that learns takes time")
    repeat, (train, validate), shape = recipe.data.repeat, images, tuple(cut.output.shape[1:])
    row = int(np.prod(shape)) * ITEM_BYTES[recipe.train.cache_dtype]
    views = _views(recipe, epochs and epochs * repeat, recipe.train.cache_budget.disk / row - validate, train)
    on_the_way = [it for it in later if it.cached and len(it.trunk) < len(trunk) and it.views >= views]
    via = max(on_the_way, key=lambda it: len(it.trunk), default=None)
    once = (views * train + validate) * (inside - (arithmetic(trunk[: len(via.trunk)]) if via else 0))
    each = (3 * train * repeat + validate) * arithmetic(model.layers[len(trunk) :])
    gain = 1.0
    if epochs:
        gain = epochs * (each + (train * repeat + validate) * inside) / (once + epochs * each)
    size = (max(views, 1) * train + validate) * row
    return Frontier(
        layer=cut.name,
        shape=shape,
        bytes=size,
        views=max(views, 1),
        gain=round(gain, 2),
        why_not=_why_not(recipe, epochs, views, shape, size, gain),
        trunk=tuple(layer.name for layer in trunk),
        via=via.layer if via else None,
    )


def _views(recipe, passes, room, train):
    """How many versions of the training images are kept; 0 where there are to be new ones every epoch.

    Args:
        recipe: a `Recipe`.
        passes: over the training images in the phase; None where its head is solved.
        room: for how many rows of features the budget has room.
        train: how many images there are.
    """
    augment, asked = without_mixing(recipe.augment), recipe.train.views
    if augment == AugmentSpec():
        return 1
    different = len(mirrors(augment) or ())  # 0: any number of them can be drawn
    if asked != "auto":
        return min(asked, different or asked, passes or asked)
    held = int(room // train)
    if passes is None:
        return max(1, min(different or SOLVED_VIEWS, held))
    views = min(different or MOST_VIEWS, passes // SEEN, held)
    return views if views > 1 else 0


def _why_not(recipe, epochs, views, shape, size, gain):
    train, mixed = recipe.train, recipe.augment.mixup or recipe.augment.cutmix
    if not train.cache_budget.disk:
        return "train.cache_budget.disk is 0"
    if epochs is None:
        return _too_large(train, size)
    if not views:
        return "augmentation draws new images every epoch (train.views = K would keep K versions)"
    if mixed and recipe.augment.mix_in == "pixels":
        return "mixup and cutmix mix pixels (augment.mix_in = 'features' would mix what is cached)"
    if recipe.augment.cutmix and len(shape) < 3:
        raise RecipeError(
            f"augment.mix_in: cutmix needs features with places to cut, found the shape {shape}; "
            "expected mixup alone, or mix_in = 'pixels'"
        )
    if gain < WORTH:
        return f"it would not pay: {gain:.2f} times the arithmetic without it"
    return _too_large(train, size)


def _too_large(train, size):
    if size > train.cache_budget.disk:
        return f"{human_bytes(size)} exceed train.cache_budget.disk = {human_bytes(train.cache_budget.disk)}"
    return ""


def arithmetic(layers):
    """What layers cost, resize and preprocessing apart."""
    return multiply_adds(layer for layer in layers if layer.name not in INPUT_LAYERS)


def _draws(layer):
    return type(layer).__name__ in DRAWS or getattr(layer, "seed_generator", None) is not None


def only_mixing(augment):
    """What an `AugmentSpec` does to batches."""
    return AugmentSpec(**{name: getattr(augment, name) for name in MIXING})


def without_mixing(augment):
    """What an `AugmentSpec` does to single images."""
    return replace(augment, **{name: getattr(AugmentSpec(), name) for name in MIXING})


def mirrors(augment):
    """The axes that each version of an image is turned along, where mirror images are all that there is; None otherwise.

    Args:
        augment: an `AugmentSpec` without mixing.
    """
    alone = augment.flip != "none" and augment == AugmentSpec(flip=augment.flip)
    return MIRRORS[augment.flip] if alone else None


def human_bytes(count):
    """Bytes as a person reads them: 1.2 GB."""
    power = min(4, int(math.log10(count) // 3)) if count >= 1 else 0
    return f"{count / 1000**power:.{1 if power else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
