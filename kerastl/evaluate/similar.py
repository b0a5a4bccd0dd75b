"""Training images that look alike to a model: the nearest ones in the space of its features.

training images -> feature cache -> directions;  an image -> its direction -> the largest cosines
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerastl.data.images import Images
from kerastl.data.load import load
from kerastl.errors import KerastlError, UserError
from kerastl.files import refuse_links
from kerastl.model.cut import made_by, tensors
from kerastl.model.graph import FEATURES
from kerastl.recipe import recipe
from kerastl.train.features import Pass, Trunk, cached_features
from kerastl.train.precision import faster_precision
from kerastl.train.store import StoredRows

AT_ONCE = 8192  # rows of features that are compared at once


class Neighbour(NamedTuple):
    """A training image.

    Args:
        image: path of its file, or its place among the training images.
        label: name of its class.
        similarity: cosine between its features and those of the image that was asked about; at most 1.
        pixels: uint8 array of shape (height, width, 3).
    """

    image: str | int
    label: str
    similarity: float
    pixels: np.ndarray


@dataclass(frozen=True)
class Lookalikes:
    """Training images, with what a model makes of them.

    Args:
        images: `Images`.
        class_names: in label order.
        features: array or `StoredRows` of shape (n, width).
        trunk: the `Trunk` that gave them.
    """

    images: Images
    class_names: tuple[str, ...]
    features: np.ndarray | StoredRows
    trunk: Trunk

    def neighbours(self, pixels, count):
        """The training images that are most similar to each of some images.

        Args:
            pixels: array of shape (n, height, width, 3), as the model takes them.
            count: how many for each; all, where there are fewer.

        Returns:
            For each image a list of `Neighbour`, the most similar first.
        """
        asked = self.trunk.run(tf.cast(pixels, tf.float32)).numpy()
        places, cosines = most_similar(asked, self.features, count)
        return [
            [self._neighbour(place, cosine) for place, cosine in zip(*row, strict=True)]
            for row in zip(places.tolist(), cosines.tolist(), strict=True)
        ]

    def _neighbour(self, place, cosine):
        label = self.class_names[self.images.labels[place]]
        return Neighbour(self.images.name(place), label, cosine, self.images.pixels[[place]][0])


def open_lookalikes(model, run):
    """The training images of a run as a model sees them; features that are not in the cache yet are computed and kept.

    Args:
        model: a flat `keras.Model` that classifies images.
        run: folder of a run: its recipe says which images, in what precision, and how much room there is.

    Returns:
        A `Lookalikes`.

    Raises:
        UserError: no run there, images of another size than the model takes, or a model without features.
        KerastlError: there is no room for the features.
    """
    refuse_links(run)
    file = Path(run) / "recipe.toml"
    if not file.is_file():
        raise UserError(f"{run}: holds no run; expected a folder with a recipe.toml, as kerastl train writes it")
    spec = recipe(file)
    data = load(spec.data, spec.model.image_size, spec.seed)
    if data.shape != model.input_shape[1:]:
        found, takes = ("x".join(map(str, shape[:2])) for shape in (data.shape, model.input_shape[1:]))
        raise UserError(
            f"{run}: its images are {found} pixels, and the model takes {takes}; expected a run of this model"
        )
    network, batch = keras.Model(model.inputs, _features_of(model)), spec.train.evaluation_batch
    policy = spec.train.trunk_precision or spec.phases[-1].precision or spec.train.precision
    policy = faster_precision(policy, network, data.train.pixels[:batch], training=False)
    trunk = Trunk(network, Pass(policy, spec.train.cache_dtype, spec.train.cache_budget, batch))
    features = cached_features(trunk, data.train, title="features of the training images")
    if features is None:
        raise KerastlError(
            f"{run}: the features of {len(data.train):,} training images are not kept; make room, or ask for none"
        )
    return Lookalikes(data.train, data.class_names, features, trunk)


def most_similar(asked, features, count):
    """The rows that point most nearly where others point.

    Args:
        asked: array of shape (n, width).
        features: array or `StoredRows` of shape (m, width), of which a part is held at a time.
        count: how many rows are wanted for each.

    Returns:
        Two arrays of shape (n, min(count, m)): places, and cosines, the largest first; of equal ones the first place.

    Example:
        >>> places, cosines = most_similar(np.array([[0.0, 2.0]]), np.array([[0.0, -1.0], [5.0, 0.0], [0.0, 3.0]]), 2)
        >>> places.tolist(), cosines.tolist()
        ([[2, 1]], [[1.0, 0.0]])
    """
    directions = _directions(asked)
    places, cosines = np.zeros((len(asked), 0), np.int64), np.zeros((len(asked), 0), np.float32)
    for start in range(0, len(features), AT_ONCE):
        new = directions @ _directions(features[start : start + AT_ONCE]).T
        cosines = np.concatenate([cosines, new], axis=1)
        here = np.broadcast_to(np.arange(start, start + new.shape[1]), new.shape)
        places = np.concatenate([places, here], axis=1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        places, cosines = (np.take_along_axis(it, best, axis=1) for it in (places, cosines))
    return places, cosines


def _directions(rows):
    rows = np.asarray(rows, np.float32).reshape(len(rows), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _features_of(model):
    """What the head sees: the layer `features`, or whatever the last dense layer reads."""
    made = tensors(model)
    if FEATURES in made:
        return made[FEATURES]
    dense = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise UserError(
            f"{model.name}: has neither a layer named features nor a dense one; expected what tells images apart"
        )
    return made_by(made[dense[-1]])[1][0]
