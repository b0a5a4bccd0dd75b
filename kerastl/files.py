"""Files that are the old ones or the new ones, never half of them; folders in which one process works at a time."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

import filelock

from kerastl.errors import KerastlError

UNFINISHED = ".writing-"  # begins the name of what is not whole yet
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room on the disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name a folder that may be written to (--out)"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder is needed: name another one (--out)"),
}


@contextlib.contextmanager
def whole(path):
    """Write a file, or a folder, that takes its place in one move when it is complete and on the disk.

    A process killed on the way leaves what was there before, and a leftover that `sweep_up` removes.

    Args:
        path: of the file. Its folder is there.

    Yields:
        The path to write to, beside it and with the same suffix.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with whole(target) as path:
        ...     _ = path.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    path = Path(path)
    temporary = path.with_name(f"{UNFINISHED}{os.getpid()}-{path.name}")
    try:
        yield temporary
        flush(temporary)
        put_in_place(temporary, path)
    finally:
        remove(temporary)


def put_in_place(written, path):
    """Move a complete file or folder to where it belongs; a folder that stands there goes only once the new one is whole."""
    old = path.with_name(f"{UNFINISHED}{os.getpid()}-old-{path.name}")
    if path.is_dir():  # no system replaces a folder in one move; for a moment there is neither
        path.replace(old)
    written.replace(path)
    _flush_one(path.parent)
    remove(old)


def flush(path):
    """Wait until a file, or all that is in a folder, is on the disk."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _flush_one(each)


def remove(path):
    """Delete a file or a folder, if it is there."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def sweep_up(folder):
    """Delete what processes that were killed left unfinished in a folder; for whoever holds its lock."""
    for leftover in Path(folder).rglob(f"{UNFINISHED}*"):
        remove(leftover)


def write_text(path, text):
    """Write a UTF-8 text file, whole or not at all."""
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, table):
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(table, indent=2) + "\n")


@contextlib.contextmanager
def locked(folder, wait=0):
    """For the time of a `with` block, be the only process at work in a folder, which is made where it is missing.

    The system opens the lock of a process that dies.

    Args:
        folder: where it works.
        wait: seconds to wait for another process.

    Raises:
        KerastlError: another process is at work there.
    """
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", timeout=wait)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise KerastlError(
            f"{folder}: another process is at work in this folder; wait until it has ended, or name another folder (--out)"
        ) from None
    try:
        yield
    finally:
        remove(folder / ".lock")  # before it is opened: whoever waits for this one sees that it is gone
        lock.release()
        if made and not any(folder.iterdir()):  # nothing came of it
            folder.rmdir()


@contextlib.contextmanager
def disk_told(folder):
    """For the time of a `with` block, let what the disk refuses be one sentence.

    Args:
        folder: of the work, for an error that names no file.
    """
    try:
        yield
    except OSError as error:
        remedy = REMEDIES.get(error.errno, "look at the disk")
        raise KerastlError(
            f"{error.filename or folder}: {error.strerror or error}; {remedy}. What was written before is whole; if a run "
            f"was begun, kerastl train --resume {folder} goes on with it"
        ) from error


def _flush_one(path):
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
