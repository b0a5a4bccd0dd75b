"""Models and weights that may come from a stranger: looked through as data, before Keras opens them. See SECURITY.md.

What is refused here is refused whatever the installed Keras makes of it; Keras' safe mode then stands behind it, always on.
"""

import io
import json
import math
import re
import stat
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import h5py
import keras

from kerastl.errors import MissingWeights, UntrustedFile, UserError, brief
from kerastl.model.allowed import check_config

CONFIG, WEIGHTS, ASSETS = "config.json", "model.weights.h5", "assets/"
MEMBERS = (CONFIG, "metadata.json", WEIGHTS)
MOST_CONFIG = 16 * 2**20  # bytes; EfficientNetV2-L, among the largest of keras.applications, has under 1 MiB
EXPANSION = 10  # what a file may unpack to, as a multiple of itself: Keras compresses nothing
SLACK = 2**20  # bytes, and variables: so small that no relation to the file's size is asked for
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


def load_untrusted(path):
    """Load a model that may come from a stranger: in safe mode, not compiled, of Keras' own layers alone.

    Args:
        path: a `.keras` or whole-model `.h5` file.

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
    text, stored = _look_into(path)
    if text is None:
        raise UntrustedFile(f"{path}: found weights without a model; expected a model saved whole (model.save)")
    config = _parse(text, path)
    check_config(config, f"{path}: its config")
    _check_variables(config, path, stored)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise MissingWeights(f"{path}: Keras cannot load it ({brief(error)}); expected a model saved whole") from None


def check_weights(path):
    """Look through a weights file that may come from a stranger; to be called before `model.load_weights`.

    Args:
        path: a `.weights.h5`, `.h5` or `.keras` file.

    Raises:
        UntrustedFile: see `load_untrusted`.
    """
    _look_into(Path(path))


def _look_into(path):
    """The text of the model's config, None where there are weights alone, and how many numbers are stored."""
    if path.suffix not in READERS:
        raise UntrustedFile(
            f"{path}: found the suffix {path.suffix!r}; expected {', '.join(READERS)}, as Keras saves them"
        )
    return READERS[path.suffix](path)


@contextmanager
def _reading(path, kind):
    """Whatever a parser makes of a broken file becomes one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        with path.open("rb") as file:
            start = file.read(32)
        begins = next(name for magic, name in KINDS.items() if start.startswith(magic))
        hint = "" if begins == RIGHT_KIND[path.suffix] else f"; it begins as {begins}"
        raise UntrustedFile(
            f"{path}: cannot be read as {kind} ({brief(error)}){hint}. Save or download it again"
        ) from None


def _read_keras(path):
    with _reading(path, "a zip archive, which a .keras file is"), zipfile.ZipFile(path) as archive:
        _check_members(path, archive.infolist())
        text = archive.read(CONFIG).decode("utf-8")
        whole = io.BytesIO(archive.read(WEIGHTS))  # HDF5 jumps about, and each jump back would read the member anew
        with h5py.File(whole, "r") as file:
            return text, _count_stored(file, f"{path}: {WEIGHTS}", path.stat().st_size)


def _read_hdf5(path):
    with _reading(path, "HDF5"), h5py.File(path, "r") as file:
        stored = _count_stored(file, path, path.stat().st_size)
        if "model_config" not in file.attrs:
            return None, stored
        text = file.attrs["model_config"]
        return text.decode("utf-8") if isinstance(text, bytes) else str(text), stored


READERS = {".keras": _read_keras, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
MEMBER_RULES = {
    "reaches outside the folder it is unpacked to": lambda it: (
        it.filename.startswith("/") or ".." in it.filename.split("/") or re.search(r"[\\:]", it.orig_filename)
    ),
    "is a symbolic link": lambda it: stat.S_ISLNK(it.external_attr >> 16),
    "is not among what Keras writes": lambda it: it.filename not in MEMBERS and not it.filename.startswith(ASSETS),
}


def _check_members(path, members):
    """Refuse a zip archive that is not laid out as Keras does it, before anything is unpacked."""
    names = Counter(member.filename for member in members)
    for member in members:
        for reason, holds in MEMBER_RULES.items():
            if holds(member):
                expected = f"expected {', '.join(MEMBERS)} and {ASSETS}"
                raise UntrustedFile(f"{path}: its member {member.filename[:80]!r} {reason}; {expected}. Save it again")
        if names[member.filename] > 1:
            raise UntrustedFile(
                f"{path}: its member {member.filename[:80]!r} is there twice; expected once. Save it again"
            )
    if missing := {CONFIG, WEIGHTS} - set(names):
        raise UntrustedFile(f"{path}: found no {' and no '.join(sorted(missing))}; expected a model saved by Keras 3")
    size, unpacked = path.stat().st_size, sum(member.file_size for member in members)
    if unpacked > EXPANSION * size + SLACK:
        raise UntrustedFile(
            f"{path}: {size:,} bytes that unpack to {unpacked:,}; expected at most {EXPANSION} times as many. Save it again"
        )
    _check_text(path, next(member.file_size for member in members if member.filename == CONFIG))


def _check_text(path, size):
    if size > MOST_CONFIG:
        raise UntrustedFile(f"{path}: found a config of {size:,} bytes; expected at most {MOST_CONFIG:,}")


DATASET_RULES = {
    "is no array": lambda it: not isinstance(it, h5py.Dataset),
    "is virtual: made of other files": lambda it: it.is_virtual,
    "keeps its numbers in another file": lambda it: it.external,
    "holds no plain numbers": lambda it: it.dtype.kind not in "biufcV" or it.dtype.names or it.dtype.subdtype,
}


def _count_stored(file, source, size):
    """How many numbers an HDF5 file stores; what leads out of it, or declares far more than the file's bytes, is refused."""
    groups, seen, numbers, declared = [file], set(), 0, 0
    while groups:
        group = groups.pop()
        for key in group:
            here, link = f"{source}: {group.name.rstrip('/')}/{key}", group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise UntrustedFile(
                    f"{here} is an HDF5 {type(link).__name__}; expected what it points to. Save it again"
                )
            item = group[key]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
                continue
            for reason, holds in DATASET_RULES.items():
                if holds(item):
                    raise UntrustedFile(f"{here} {reason}; expected an array of numbers. Save it again")
            numbers += math.prod(item.shape or ())
            declared += math.prod(item.shape or ()) * item.dtype.itemsize
            if declared > EXPANSION * size + SLACK:
                raise UntrustedFile(
                    f"{here}: with its shape {item.shape} the arrays ask for {declared:,} bytes, the file has {size:,}; "
                    f"expected at most {EXPANSION} times as many. Save it again"
                )
    return numbers


def _parse(text, path):
    """The config; of .keras without what Keras leaves aside when it does not compile. Of .h5 it decodes every object."""
    _check_text(path, len(text))
    unread = ("compile_config",) if path.suffix == ".keras" else ()
    with _reading(path, "the JSON of a model's config"):
        return {key: value for key, value in json.loads(text).items() if key not in unread}


def _check_variables(config, path, stored):
    """Refuse a model whose variables are many more than the numbers that the file stores for them."""
    with _reading(path, "a model"), ThreadPoolExecutor(1) as alone:
        wanted = alone.submit(_count_variables, config, path.suffix == ".keras").result()
    if wanted > stored + SLACK:
        raise UntrustedFile(
            f"{path}: its layers ask for {wanted:,} variables, the file stores {stored:,} numbers; expected as many. "
            "Ask for the file anew: this one cannot be the model's"
        )


def _count_variables(config, is_keras):
    """Build the model with shapes alone, allocating nothing.

    In a thread of its own: what Keras notes there, as variables still to be filled and names already taken, ends with it.
    """
    import tensorflow as tf
    from keras.src.legacy.saving import json_utils, saving_utils

    with tf.Graph().as_default(), keras.StatelessScope(initialize_variables=False):
        if is_keras:
            model = keras.saving.deserialize_keras_object(config)
        else:
            model = saving_utils.model_from_config(json_utils.decode(json.dumps(config)))
        return sum(math.prod(variable.shape) for variable in model.variables)
