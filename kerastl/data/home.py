"""What kerastl keeps between runs: where, and how much of it."""

import contextlib
import os
import shutil
from pathlib import Path

from kerastl.files import UNFINISHED, is_alive, locked, own_folder, sweep_up
from kerastl.keras_settings import keras_home

ABOUT = "store.json"  # in each store: what it holds; its time of change is that of the last use
WAIT = 600  # seconds for another process that deletes stores


def prepared_home():
    """Where TensorFlow Datasets keeps what it prepared: TFDS_DATA_DIR, or ~/tensorflow_datasets, or in /tmp where there is no home."""
    named = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    path = os.path.expanduser(named)  # noqa: PTH111 (without a home folder it stays as it is)
    return Path("/tmp" + path[1:] if path.startswith("~/") else path)


def home():
    """A folder where Keras keeps its own."""
    return keras_home() / "kerastl"


def make_room_in(folder, needed, limit, key, keep=frozenset()):
    """Delete the least recently used stores of a folder until so many bytes more fit.

    Args:
        folder: that holds the stores, each a folder of files.
        needed: bytes to be written.
        limit: bytes that all stores may take together.
        key: of the recipe that sets the limit.
        keep: stores that stay, besides those that a living process has `in_use`.

    Returns:
        Why there is no room, or an empty text.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} cannot be made ({error.strerror}; KERAS_HOME names another place)"
    if not os.access(folder, os.W_OK):
        return f"{folder} cannot be written to (KERAS_HOME names another place)"
    with one_at_a_time(folder):
        sweep_up(folder)
        stores = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(UNFINISHED)]
        oldest_first = sorted(stores, key=_last_used)
        sizes = {store: _size(store) for store in oldest_first}
        for store in oldest_first if needed <= limit else ():  # in vain, nothing is deleted
            if sum(sizes.values()) + needed > limit and store not in keep and not _in_use(store):
                shutil.rmtree(store, ignore_errors=True)
                del sizes[store]
    if sum(sizes.values()) + needed > limit:
        return f"{needed:,} bytes more would exceed {key} = {limit:,.0f}"
    free = shutil.disk_usage(folder).free
    if needed > free:
        return f"{folder} has {free:,} bytes left, {needed:,} are needed (KERAS_HOME names another place)"
    return ""


@contextlib.contextmanager
def one_at_a_time(folder):
    """For the time of a `with` block, be the only process that looks for a store in a folder, places one or deletes one.

    Where a folder cannot be written to, nobody does.
    """
    with locked(folder, wait=WAIT) if os.access(folder, os.W_OK) else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def in_use(store):
    """For the time of a `with` block, let no process delete a store to make room. To be begun within `one_at_a_time`."""
    with own_folder(store) if os.access(store, os.W_OK) else contextlib.nullcontext():
        yield


def _in_use(store):
    return any(is_alive(path) for path in store.glob(f"{UNFINISHED}*"))


def _size(store):
    return sum(path.stat().st_size for path in store.iterdir() if path.is_file())


def _last_used(store):
    about = store / ABOUT
    return about.stat().st_mtime if about.exists() else 0.0
