"""`load`: from a recipe's data table to three splits of labelled images."""

from kerastl import strict
from kerastl.data import cifar
from kerastl.data.split import Data, split
from kerastl.errors import RecipeError

# One row a source: the names before and after a colon, and how to read it. Imports wait until a source is used.
SOURCES = {
    "cifar10": lambda spec, size, seed: cifar.load_cifar(spec),
    "cifar100": lambda spec, size, seed: cifar.load_cifar(spec),
    "digits": lambda spec, size, seed: _module("digits").load_digits(),
    "glyphs": lambda spec, size, seed: _module("glyphs").load_glyphs(seed),
    "tfds:": lambda spec, size, seed: _module("catalogue").load_catalogue(spec, size),
    "folder:": lambda spec, size, seed: _module("folder").load_folder(spec, size),
}


def load(spec, image_size, seed=0) -> Data:
    """Read a dataset and split it.

    Args:
        spec: a `DataSpec`.
        image_size: side in pixels at which images of varying size are kept, unless `spec.image_size` says otherwise.
        seed: of the split.

    Returns:
        `Data`: three splits of uint8 images and int64 labels, and the class names.

    Raises:
        RecipeError: no such source.
        MissingData: the images are not there and cannot be downloaded.
        UserError: they cannot be read or split as asked.

    Example:
        >>> from kerastl.schema import DataSpec
        >>> load(DataSpec("digits", limit=200), image_size=48).test.shape
        (8, 8, 3)
    """
    return split(SOURCES[source_of(spec)](spec, spec.image_size or image_size, seed), spec, seed)


def source_of(spec):
    """The row of `SOURCES` that reads `spec.name`."""
    kind = spec.name.partition(":")[0] + ":" if ":" in spec.name else spec.name
    if kind not in SOURCES or (kind == spec.name and ":" in kind):
        raise RecipeError(
            f"data.name: found {spec.name!r}; {strict.suggest(kind, [f'{k}...' if ':' in k else k for k in SOURCES])}"
        )
    return kind


def _module(name):
    from importlib import import_module

    return import_module(f"kerastl.data.{name}")
