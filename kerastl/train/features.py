"""The feature cache: what frozen layers give for an image is computed once, and kept.

images -> digests -> rows that are there | rows that are missing -> trunk -> store -> one array, or rows read from disk
"""

import contextlib
import hashlib
import json
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from kerastl.data.batches import ordered_batches
from kerastl.data.decode import DECODER
from kerastl.errors import KerastlWarning
from kerastl.model.cut import split
from kerastl.model.fold import fold
from kerastl.schema import AugmentSpec, CacheBudget
from kerastl.strict import dump
from kerastl.train.frontier import ITEM_BYTES, mirrors, without_mixing
from kerastl.train.precision import set_precision
from kerastl.train.progress import PassProgress
from kerastl.train.store import Store, make_room

SHARD_BYTES = 32 * 2**20
# What may differ between two trunks that give the same at inference.
IDLE = {"name", "dtype", "trainable", "momentum", "seed", "rate", "drop_path_rate", "stddev"}


@dataclass(frozen=True)
class View:
    """One augmented version of a whole set of images.

    Args:
        augment: an `AugmentSpec`; mixing is not part of it.
        seed: of the draws.
        number: 0, 1, 2, ...: which of the versions.
    """

    augment: AugmentSpec
    seed: int
    number: int


@dataclass(frozen=True)
class Mirror:
    """The mirror images of a whole set of images.

    Args:
        axes: of a batch along which each image is turned: 1 upside down, 2 left to right.
    """

    axes: tuple[int, ...]


def views_of(augment, seed, count):
    """The versions of a set of images: the images and their mirror images where there are no others, drawn ones otherwise.

    Args:
        augment: an `AugmentSpec`; its mixing is left out.
        seed: of the draws.
        count: how many.

    Returns:
        A list of `None` for the images as they are, `Mirror` and `View`.
    """
    augment = without_mixing(augment)
    if augment == AugmentSpec():
        return [None]
    if axes := mirrors(augment):
        return [Mirror(it) if it else None for it in axes[:count]]
    return [View(augment, seed, number) for number in range(count)]


@dataclass(frozen=True)
class Pass:
    """How images go through a trunk.

    Args:
        precision: Keras policy: float32, mixed_bfloat16 or mixed_float16.
        dtype: in which features are stored: float32, float16 or bfloat16.
        budget: a `CacheBudget`.
        batch_size: images in a step.
        via: the name of an earlier place to cut: what is missing is computed from the features there, which are kept too.
    """

    precision: str = "float32"
    dtype: str = "float32"
    budget: CacheBudget = CacheBudget()
    batch_size: int = 128
    via: str | None = None


class Trunk:
    """A frozen network, and the function that runs it, made when the first image needs it.

    Args:
        model: a flat `keras.Model`; used at inference.
        how: a `Pass`.
    """

    def __init__(self, model, how):
        self.model, self.how, self.before, self.rest = model, how, None, model
        if how.via:
            before, self.rest = split(model, how.via)
            self.before = Trunk(before, replace(how, via=None))

    @cached_property
    def fingerprint(self):
        return fingerprint(self.model)

    @cached_property
    def run(self):
        """From pixels, or from the features at `via`."""
        return trunk_function(self.rest, self.how.precision, self.how.dtype)


def cached_features(trunk, images, views=(None,), title="features"):
    """What a trunk gives for every image, from the cache as far as it is there.

    Args:
        trunk: a `Trunk`.
        images: `Images`.
        views: what `views_of` gives; one after the other in the result.
        title: of the progress bar.

    Returns:
        An array, or where that would be larger than `budget.ram` `StoredRows`, of shape (len(views) * n, ...), view by
        view; None, with a warning, where there is no room for it on the disk.
    """
    digests, found, in_use, budget = images.digests, None, {}, trunk.how.budget
    with contextlib.ExitStack() as used:
        used.callback(lambda: [store.close() for store in in_use.values()])
        for number, view in enumerate(views, start=1):
            named = title if len(views) == 1 else f"{title}, view {number}/{len(views)}"
            try:
                store = _complete(trunk, images, digests, view, in_use, named)
            except OSError as error:
                store = None
                warnings.warn(f"features are not cached: {error}", KerastlWarning, stacklevel=2)
            if store is None:
                return None
            rows = store.read(digests)
            found = found.joined(rows) if found else rows
    return found[:] if found.nbytes <= budget.ram else found


def features_in_memory(trunk, images, views, title, cached=True):
    """As `cached_features`, a float32 array in any case: where there is no room for them, they are computed and kept nowhere.

    Args:
        trunk, images, views, title: as `cached_features` has them.
        cached: False leaves the cache alone.
    """
    found = cached_features(trunk, images, views, title) if cached else None
    found = _computed(trunk, images, views, title) if found is None else found[:]
    return np.asarray(found, np.float32)


def _computed(trunk, images, views, title):
    found, everything = [], np.arange(len(images))
    for number, view in enumerate(views, start=1):
        batches = ordered_batches(images, everything, trunk.how.batch_size, **_draws(view))
        named = title if len(views) == 1 else f"{title}, view {number}/{len(views)}"
        _compute(trunk, batches, len(images), lambda rows, at: found.append(rows), named)
    return np.concatenate(found)


def _draws(view):
    """What `ordered_batches` is told of a view."""
    if isinstance(view, View):
        return {"augment_spec": view.augment, "seed": [view.seed, view.number]}
    return {"mirrored": view.axes} if view else {}


def _complete(trunk, images, digests, view, in_use, title):
    """The store of what a trunk gives, with a row for every image; None where there is no room."""
    how = trunk.how
    store = Store(_about(trunk, images, digests, view), trunk.model.output.shape[1:], how.dtype)
    in_use[store.folder] = store
    missing = store.missing(digests)
    if not len(missing):
        return store
    draws = _draws(view)
    if trunk.before:
        before = _complete(trunk.before, images, digests, view, in_use, title)
        if before is None:
            return None
        images, draws = replace(images, pixels=before.read(digests)), {}
    reason = make_room(len(missing) * store.row.itemsize, how.budget, set(in_use))
    if reason:
        warnings.warn(f"features are not cached: {reason}", KerastlWarning, stacklevel=3)
        return None
    store.begin()
    batches, named = ordered_batches(images, missing, how.batch_size, **draws), digests[missing]
    _compute(trunk, batches, len(named), lambda rows, at: store.write(named[at], rows), title)
    return store


def _compute(trunk, batches, count, take, title):
    """Pass batches through a trunk.

    Args:
        trunk: a `Trunk`.
        batches: of images.
        count: of images in all of them.
        take: a function of some rows of features, and of the slice of places where they belong.
        title: of the progress bar.
    """
    size, waiting, done = trunk.how.batch_size, [], 0
    row = int(np.prod(trunk.model.output.shape[1:])) * ITEM_BYTES[trunk.how.dtype]
    rows = size * max(1, SHARD_BYTES // (size * row))
    progress = PassProgress(title, -(-count // size))
    try:
        for images in batches:
            n = len(images)
            # A short batch is filled up: one shape is traced, and no image depends on how many stand beside it.
            full = tf.gather(images, tf.range(size) % n) if n < size else images
            waiting.append(trunk.run(tf.cast(full, tf.float32)).numpy()[:n])
            n = sum(map(len, waiting))
            if n == rows or done + n == count:
                take(np.concatenate(waiting), slice(done, done + n))
                waiting, done = [], done + n
            progress.advance()
    finally:
        progress.bar.close()
    progress.ended()


def trunk_function(trunk, precision, dtype):
    """A function from a batch of float32 pixels to features: the folded trunk at inference, in a precision.

    Args:
        trunk: a flat `keras.Model`.
        precision: Keras policy of the pass.
        dtype: of what it gives.
    """
    folded = fold(trunk)
    set_precision(folded, precision)

    @tf.function(reduce_retracing=True)
    def run(pixels):
        return tf.cast(folded(pixels, training=False), dtype)

    return run


def _about(trunk, images, digests, view):
    """All that the features depend on, and the images do not say."""
    about = {
        "trunk": trunk.fingerprint,
        "precision": trunk.how.precision,
        "dtype": trunk.how.dtype,
        "images": list(images.shape),
        "decoder": DECODER,  # an image is known by the digest of its file
        "keras": keras.__version__,
    }
    if isinstance(view, Mirror):
        about |= {"mirrored": list(view.axes)}
    elif view:  # the draws depend on an image's place in the set, so the set is part of what they are
        about |= {
            "augment": dump(view.augment),
            "seed": view.seed,
            "view": view.number,
            "set": hashlib.blake2b(digests.tobytes(), digest_size=16).hexdigest(),
            "batch": trunk.how.batch_size,
        }
    return about


def fingerprint(trunk):
    """What a network computes at inference, as text: its layers, how they are connected, their weights.

    Names do not count, nor does what only training sees.
    """
    place_of = {id(tensor): place for place, it in enumerate(trunk.layers) for tensor in keras.tree.flatten(it.output)}
    graph = []
    for layer in trunk.layers:
        config = {key: value for key, value in layer.get_config().items() if key not in IDLE}
        graph.append((type(layer).__name__, config, [place_of.get(id(t)) for t in keras.tree.flatten(layer.input)]))
    digest = hashlib.blake2b(json.dumps(graph, sort_keys=True, default=str).encode(), digest_size=16)
    for weight in trunk.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
