"""`load`: from a recipe's data table to three splits of labelled images."""

from pathlib import Path

from kerastl import strict
from kerastl.data.catalogue import load_catalogue
from kerastl.data.cifar import load_cifar
from kerastl.data.digits import load_digits
from kerastl.data.folder import load_folder
from kerastl.data.glyphs import load_glyphs
from kerastl.data.split import Data, split
from kerastl.errors import RecipeError

# One row a source: its name, or what stands before the colon, and how to read it.
SOURCES = {
    "cifar10": lambda spec, size, seed: load_cifar(spec),
    "cifar100": lambda spec, size, seed: load_cifar(spec),
    "digits": lambda spec, size, seed: load_digits(),
    "glyphs": lambda spec, size, seed: load_glyphs(seed),
    "tfds:": lambda spec, size, seed: load_catalogue(spec, size),
    "folder:": lambda spec, size, seed: load_folder(spec, size),
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
    """The row of `SOURCES` that reads `spec.name`.

    Raises:
        RecipeError: there is none.
    """
    name, colon, _ = spec.name.partition(":")
    if name + colon not in SOURCES:
        if "://" in spec.name:
            raise RecipeError(f"data.name: {spec.name} is an address; download it, unpack it, and name it: folder:PATH")
        if (Path(spec.dir) / spec.name).exists():
            raise RecipeError(f"data.name: found {spec.name!r}, which is a folder or file; expected folder:{spec.name}")
        valid = [row + "..." if row.endswith(":") else row for row in SOURCES]
        raise RecipeError(f"data.name: found {spec.name!r}; {strict.suggest(name, valid)}")
    return name + colon
