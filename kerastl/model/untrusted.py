"""Models and weights that may come from a stranger: looked through as data, before Keras opens them. See SECURITY.md.

What is refused here is refused whatever the installed Keras makes of it; Keras' safe mode then stands behind it, always on. Keras is
given a private copy, unpacked: it reads the very bytes that were looked through.
"""

import copy
import errno
import io
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import keras

from kerastl.errors import KerastlError, MissingWeights, UntrustedFile, UserError, brief
from kerastl.model.allowed import check_config
from kerastl.model.archive import contents
from kerastl.model.keras2 import REMEDY, as_keras3, is_keras2, remedied
from kerastl.model.keras_file import (
    CONFIG,
    METADATA,
    WEIGHTS,
    check_members,
    check_text,
    load_from_folder,
    load_from_memory,
    unpack,
    unpacked,
)
from kerastl.model.sizes import sizes_of
from kerastl.model.stored import EXPANSION, SLACK, count_stored, read_text
from kerastl.text import printable

NO_ROOM = (errno.EFBIG, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
MOST_PARTS = 500_000  # tables, lists and what is in them; a list takes thirty times its two brackets. EfficientNetV2-L has 60,000
MOST_TOLD = 1_200  # letters of a message
SIDE = 224  # pixels: of the image a model is measured with, where it takes any
KINDS = {
    b"PK": "a zip archive",
    b"\x89HDF": "HDF5",
    b"\x80": "a Python pickle",
    b"\x1f\x8b": "a gzip archive",
    b"version https://git-lfs": "a Git LFS pointer: its file was not fetched",
    b"<": "a web page",
    b"{": "JSON",
    b"": "neither a zip archive nor HDF5",
}
RIGHT_KIND = {".keras": "a zip archive", ".h5": "HDF5", ".hdf5": "HDF5"}


@dataclass(frozen=True)
class Checked:
    """A file that was looked through.

    Args:
        load: a function that gives its model, with another config in the place of its own.
        copied: the private copy that is loaded, which messages of Keras name; None in memory.
        weights: the copy as Keras loads weights; None where there is none on the disk.
        text: of the model's config, None where there are weights alone.
        stored: how many numbers it stores.
        keras2: whether Keras 2 wrote it.
    """

    load: Callable
    copied: Path | None
    weights: Path | None
    text: str | None
    stored: int
    keras2: bool = False


def load_untrusted(path, side=SIDE):
    """Load a model that may come from a stranger: in safe mode, not compiled, of Keras' own layers alone.

    Args:
        path: a `.keras` or whole-model `.h5` file.
        side: height and width of the images it will be given, in pixels, where it takes any.

    Returns:
        A `keras.Model`.

    Raises:
        UntrustedFile: the file would run code, reach outside itself or ask for far more memory than it brings.
        MissingWeights: it is harmless, and Keras cannot load it.

    Example:
        >>> load_untrusted("from-a-stranger.keras")  # doctest: +SKIP
        <Functional name=kerastl, built=True>
    """
    path = Path(path)
    with _told(), _looked_through(path) as found:
        if found.text is None:
            raise UntrustedFile(f"{path}: found weights without a model; expected a model saved whole (model.save)")
        config = _parse(found.text, path)
        with remedied(found.keras2):
            with _reading(path, "a model's config"):
                config = as_keras3(config) if found.keras2 else config
            check_config(config, f"{path}: its config")
            # A copy, as Keras takes out of a config what it has read.
            _check_sizes(copy.deepcopy(config), path, side, found.stored)
        try:
            return found.load(config=json.dumps(config))
        except Exception as error:
            reason = brief(error).replace(str(found.copied), str(path))
            expected = REMEDY if found.keras2 else "expected a model saved whole"
            raise MissingWeights(f"{path}: Keras cannot load it ({reason}); {expected}") from None


@contextmanager
def checked_weights(path):
    """Look through a weights file that may come from a stranger.

    Args:
        path: a `.weights.h5`, `.h5` or `.keras` file.

    Yields:
        The path of a private copy, for `model.load_weights`; it is gone with the block.

    Raises:
        UntrustedFile: see `load_untrusted`.
    """
    with _told(), _looked_through(Path(path)) as found:
        if found.weights is None:
            raise KerastlError(f"{path}: no room for a copy of it; set TMPDIR to a folder with room")
        yield found.weights


def check_weights(path):
    """Look through a weights file that may come from a stranger, and open nothing of it.

    Raises:
        UntrustedFile: see `load_untrusted`.
    """
    with checked_weights(path):
        pass


@contextmanager
def _told():
    """What a message quotes of a file stays on its line and moves no cursor; and it has an end."""
    try:
        yield
    except UserError as error:
        text = printable(str(error), lines=True)
        middle = MOST_TOLD // 2
        text = text if len(text) <= MOST_TOLD else f"{text[:middle]} ... {text[-middle:]}"
        raise type(error)(text) from error.__cause__


@contextmanager
def _looked_through(path):
    """A file as `Checked`, for the time of a block."""
    if path.suffix.lower() not in READERS:
        raise UntrustedFile(
            f"{path}: found the suffix {path.suffix!r}; expected {', '.join(READERS)}, as Keras saves them"
        )
    if not path.is_file():
        raise UntrustedFile(f"{path}: is no file that is there; expected a model or weights, as Keras saves them")
    size = _check_file(path)
    try:
        folder = tempfile.TemporaryDirectory(prefix="kerastl-", ignore_cleanup_errors=True)
    except OSError as error:
        raise KerastlError(f"{path}: no folder for a copy of it ({brief(error)}); set TMPDIR to one") from None
    with folder as name:
        yield READERS[path.suffix.lower()](path, Path(name), size)


def _check_file(path):
    """Refuse a file that is mostly holes, or has no room to be copied; its size."""
    facts = path.stat()
    stored = getattr(facts, "st_blocks", facts.st_size) * 512
    if facts.st_size > EXPANSION * stored + SLACK:
        raise UntrustedFile(
            f"{path}: {facts.st_size:,} bytes of which {stored:,} are on the disk; expected a file without holes. Save it again"
        )
    where = tempfile.gettempdir()
    if facts.st_size > (room := shutil.disk_usage(where).free):
        raise KerastlError(
            f"{path}: a copy needs {facts.st_size:,} bytes, {where} has {room:,}; set TMPDIR to a folder with room"
        )
    return facts.st_size


@contextmanager
def _reading(path, kind):
    """Whatever a parser makes of a broken file becomes one sentence."""
    try:
        yield
    except KerastlError:
        raise
    except Exception as error:
        try:
            with path.open("rb") as file:
                start = file.read(32)
        except OSError:
            start = b""
        begins = next(name for magic, name in KINDS.items() if start.startswith(magic))
        hint = "" if begins == RIGHT_KIND[path.suffix.lower()] else f"; it begins as {begins}"
        raise UntrustedFile(
            f"{path}: cannot be read as {kind} ({brief(error)}){hint}. Save or download it again"
        ) from None


def _read_keras(path, folder, size):
    with _reading(path, "a zip archive, which a .keras file is"), path.open("rb") as file:
        members = contents(file, path)
        check_members(path, members, size)
        try:
            for member in members:
                unpack(file, member, folder, path)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            parts = unpacked(file, members, path)
            load, copied, weights, arrays = partial(load_from_memory, parts), None, None, io.BytesIO(parts[WEIGHTS])
        else:
            parts = {name: (folder / name).read_bytes() for name in (CONFIG, METADATA) if (folder / name).is_file()}
            load, copied, weights = partial(load_from_folder, folder), folder, folder / WEIGHTS
            arrays = weights
        stored, _ = _read_arrays(arrays, f"{path}: {WEIGHTS}", size)
        return Checked(load, copied, weights, parts[CONFIG].decode("utf-8"), stored, is_keras2(_version(parts)))


def _version(parts):
    """The version of Keras that wrote a .keras file, or None where it does not say."""
    facts = json.loads(parts.get(METADATA, b"{}"))
    version = facts.get("keras_version") if isinstance(facts, dict) else None
    return version if isinstance(version, str) else None


def _read_hdf5(path, folder, size):
    copy = folder / (WEIGHTS if path.name.lower().endswith(".weights.h5") else f"model{path.suffix.lower()}")
    with _reading(path, "HDF5"):
        shutil.copyfile(path, copy)
        stored, text = _read_arrays(copy, path, size)
        with h5py.File(copy, "r") as file:
            version = read_text(file, "keras_version", path)
        return Checked(partial(_load_hdf5, copy), copy, copy, text, stored, is_keras2(version))


def _load_hdf5(copy, config):
    with h5py.File(copy, "r+") as file:
        file.attrs["model_config"] = config
    return keras.models.load_model(copy, compile=False)


def _read_arrays(copy, source, size):
    """How many numbers an HDF5 file stores, and the text of the config it has."""
    with copy.open("rb") if isinstance(copy, Path) else nullcontext(copy) as file:
        if file.read(4) != b"\x89HDF":  # it may stand behind bytes of another kind: not as Keras writes it
            raise OSError("file signature not found at its beginning")
    with h5py.File(copy, "r") as file:
        return count_stored(file, source, size), read_text(file, "model_config", source)


READERS = {".keras": _read_keras, ".h5": _read_hdf5, ".hdf5": _read_hdf5}


def _parse(text, path):
    """The config; of .keras without what Keras leaves aside when it does not compile. Of .h5 it decodes every object."""
    check_text(path, len(text))
    if (parts := sum(map(text.count, "[{,"))) > MOST_PARTS:
        raise UntrustedFile(
            f"{path}: found a config of {parts:,} tables, lists and values; expected at most {MOST_PARTS:,}"
        )
    with _reading(path, "the JSON of a model's config"):
        config = json.loads(text, object_hook=_uncompiled if path.suffix.lower() == ".keras" else None)
    if not isinstance(config, dict):
        raise UntrustedFile(f"{path}: its config is {type(config).__name__} in JSON; expected a table. Save it again")
    return config


def _uncompiled(table):
    return {**table, "compile_config": None} if "compile_config" in table else table


def _check_sizes(config, path, side, stored):
    """Refuse a model whose variables are many more than the numbers stored for them, or that needs too much to answer."""
    with _reading(path, "a model"):
        wanted = sizes_of(config, path.suffix.lower() == ".keras", side, path)
    if wanted.variables > stored + SLACK:
        raise UntrustedFile(
            f"{path}: its layers ask for {wanted.variables:,} variables, the file stores {stored:,} numbers; expected as many. "
            "Ask for the file anew: this one cannot be the model's"
        )
