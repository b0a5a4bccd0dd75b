"""Files that are the old ones or the new ones, never half of them; folders in which one process works at a time.

What is being written stands in a folder of its own beside its place, `.writing-RANDOM`: nobody can foretell the name, and it is
made where nothing stands, a link included. The writer holds the lock in it for as long as it lives; what has no living writer is
swept up. Nothing here follows a link.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from pathlib import Path

import filelock

from kerastl.errors import KerastlError, UserError
from kerastl.text import printable

UNFINISHED = ".writing-"  # begins the name of what is not whole yet
LOCK, OLD = ".lock", ".old"
JUST_BEGUN = 60  # seconds in which a folder that has no lock yet may get one
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room on the disk"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name a folder that may be written to (--out)"),
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ENOENT: "make the folder it should be in, or name another one",
    errno.ELOOP: "links lead in a circle: name the real file",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a file stands where a folder is needed: name another one (--out)"),
}


@contextlib.contextmanager
def whole(path):
    """Write a file, or a folder, that takes its place in one move when it is complete and on the disk.

    A process killed on the way leaves what was there before, and a leftover that `sweep_up` removes. A link that stands in the
    place is replaced, not followed.

    Args:
        path: of the file. Its folder is there.

    Yields:
        The path to write to, of the same name, in a folder of its own beside the place.

    Raises:
        UserError: something stands there that is no file and no folder, as /dev/null.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
        >>> with whole(target) as path:
        ...     _ = path.write_text("1 2 3")
        >>> target.read_text()
        '1 2 3'
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{printable(str(path))}: a pipe or a device stands there; expected the name of a file")
    with own_folder(path.parent) as own:
        yield own / path.name
        flush(own / path.name)
        put_in_place(own / path.name, path)


@contextlib.contextmanager
def own_folder(folder, begins=UNFINISHED):
    """A new folder in a folder, with a name that nobody can foretell, that is gone after a `with` block.

    Args:
        folder: where it is made.
        begins: its name.

    Yields:
        Its path. As long as this process lives, `is_alive` says so.
    """
    own, lock = _made(Path(folder), begins)
    try:
        yield own
    finally:
        _remove_own(own)
        lock.release()


def _made(folder, begins):
    while True:
        own = folder / f"{begins}{secrets.token_hex(8)}"
        own.mkdir(mode=0o700)  # fails where anything stands
        lock = filelock.FileLock(own / LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:  # whoever sweeps up was quicker, by some microseconds
            continue
        except (OSError, NotImplementedError):
            if own.is_dir():  # a disk without locks, where nobody sweeps up either
                return own, lock
        if (own / LOCK).exists():
            return own, lock


def is_alive(own):
    """Whether the process that made a folder with `own_folder` lives."""
    lock = _taken(own)
    if lock:
        lock.release()
    return lock is None


def _taken(own):
    """The lock of a dead process' folder, acquired; None where it lives, or may."""
    lock = filelock.FileLock(own / LOCK, thread_local=False)
    if not (own / LOCK).is_file() or (own / LOCK).is_symlink():  # its writer has just begun, or it is none of ours
        return lock if time.time() - own.lstat().st_mtime > JUST_BEGUN else None
    with contextlib.suppress(filelock.Timeout, OSError, NotImplementedError):
        lock.acquire(timeout=0)
        return lock
    return None


def put_in_place(written, path):
    """Move a complete file or folder to where it belongs; a folder that stands there goes only once the new one is whole.

    Args:
        written: its path in an `own_folder`.
        path: where it belongs.
    """
    if path.is_dir() or (written.is_dir() and os.path.lexists(path)):
        # No system replaces a folder in one move: for a moment there is neither, and `sweep_up` knows that.
        path.replace(written.parent / OLD)
    written.replace(path)
    _flush_one(path.parent)
    remove(written.parent / OLD)


def flush(path):
    """Wait until a file, or all that is in a folder, is on the disk."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _flush_one(each)


def remove(path):
    """Delete a file, a folder or a link, if it is there; not what a link leads to."""
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(FileNotFoundError):  # others delete it too
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_own(own):  # its lock last: what a process that is killed here leaves is seen to be nobody's
    for item in [it for it in own.glob("*") if it.name != LOCK]:
        remove(item)
    remove(own)


def sweep_up(folder, begins=UNFINISHED):
    """Delete what processes that were killed left unfinished in a folder, at any depth; what a living one writes stays.

    Args:
        folder: of which no link is followed.
        begins: the names of what is looked for.
    """
    for place, folders, files in os.walk(folder):
        for name in [it for it in folders if it.startswith(begins)]:
            folders.remove(name)
            _sweep(Path(place, name))
        for name in [it for it in files if it.startswith(begins)]:  # of an earlier kerastl
            remove(Path(place, name))


def _sweep(own):
    if own.is_symlink():
        return remove(own)
    with contextlib.suppress(OSError):  # it is empty: who made it was killed at once, or makes another one
        return own.rmdir()
    with contextlib.suppress(FileNotFoundError):  # its writer has just ended
        lock = _taken(own)
        if lock is None:
            return
        if (own / OLD).exists():  # killed between two moves: what was complete takes its place
            for written in own.iterdir():
                if written.name not in (LOCK, OLD) and not os.path.lexists(own.parent / written.name):
                    written.replace(own.parent / written.name)
        _remove_own(own)
        lock.release()


def refuse_links(folder):
    """Refuse a folder of runs, exports or models in which a link or a pipe stands: it could have been made by a stranger.

    Args:
        folder: may be a link itself, as it is the user's own word. Where there is none, nothing is said.

    Raises:
        UserError: naming the first one.
    """
    waiting = [folder] if Path(folder).is_dir() else []
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for it in entries:
                if it.is_dir(follow_symlinks=False):
                    waiting.append(it.path)
                elif not it.is_file(follow_symlinks=False):
                    raise UserError(_strange(it))


def _strange(entry):
    shown = printable(entry.path)
    if entry.is_symlink():
        target = printable(str(Path(entry.path).readlink()))
        return (
            f"{shown}: is a link to {target}; inside a folder of runs or exports kerastl neither reads nor writes through links. "
            "Delete it, or put a copy of what it leads to in its place"
        )
    kind = "a pipe" if stat.S_ISFIFO(entry.stat(follow_symlinks=False).st_mode) else "a device or a socket"
    return f"{shown}: is {kind}; expected files and folders. Delete it"


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
        UserError: something stands there that is no lock, as a link.
    """
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if not _may_be_lock(folder / LOCK):
        raise UserError(f"{printable(str(folder / LOCK))}: is no lock of kerastl's, as it is no file; delete it")
    lock = filelock.FileLock(folder / LOCK, timeout=wait, poll_interval=0.01)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise KerastlError(
            f"{folder}: another process is at work in this folder; wait until it has ended, or name another folder (--out)"
        ) from None
    try:
        yield
    finally:
        remove(folder / LOCK)  # before it is opened: whoever waits for this one sees that it is gone
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
        raise KerastlError(
            f"{of_the_system(error, folder)}. What was written before is whole; if a run was begun, kerastl train --resume "
            f"{folder} goes on with it"
        ) from error


def of_the_system(error, place=""):
    """What the system refuses, as a sentence: where, what, and the remedy.

    Args:
        error: an OSError.
        place: for an error that names no file.

    Example:
        >>> of_the_system(OSError(errno.ENAMETOOLONG, "File name too long", "nnn"))
        'nnn: File name too long; name a shorter one'
    """
    where = f"{_meant(error.filename or place)}: " if error.filename or str(place) else ""
    return f"{where}{error.strerror or error}; {REMEDIES.get(error.errno, 'look at the disk')}"


def _may_be_lock(path):
    """Whether a file stands there, or nothing."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def _meant(name):
    """The path that the user knows, of one in an `own_folder`."""
    return printable(re.sub(rf"{re.escape(UNFINISHED)}[0-9a-f]{{16}}[/\\\\]?", "", str(name)))


def _flush_one(path):
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
