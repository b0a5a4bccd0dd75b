"""Standard output and error as they may be found: closed, missing, or of an encoding that lacks letters."""

import os
import sys

LOST = {}  # streams that took no more in this process: their name, and why
STREAMS = {"stdin": (0, "r"), "stdout": (1, "w"), "stderr": (2, "w")}


def prepare_streams():
    """Let every text be written to the standard streams; for the command line, before anything is printed.

    A letter that the encoding lacks (cp1252, ASCII) is shown as an escape such as `\\u732b`, and never ends the program. A stream
    that is closed becomes the null device: else the next file that is opened would take its number, and be written to.
    """
    for name, (number, mode) in STREAMS.items():
        if not _is_open(number):
            _point_at_null(number, mode)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115
        elif mode == "w" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")


def write_or_lose(name, write):
    """Write to a stream, or go on without it for good: hours of work are not lost to a full disk or a reader that has gone.

    Args:
        name: stdout or stderr.
        write: a function that writes to it.
    """
    if name in LOST:
        return
    try:
        write()
    except (OSError, ValueError) as error:  # ValueError: it was closed by the program
        LOST[name] = str(error)


def end_streams(code):
    """Flush the standard streams as a command ends; 1 in place of 0 where not all of the output was taken.

    Args:
        code: exit code of the command.

    Returns:
        The exit code.
    """
    for name in ("stdout", "stderr"):
        write_or_lose(name, getattr(sys, name).flush)
        if name in LOST:  # else Python tries again, and says so in its own words
            _point_at_null(*STREAMS[name])
    if "stdout" in LOST:
        write_or_lose(
            "stderr", lambda: print(f"error: not all of the output was written: {LOST['stdout']}", file=sys.stderr)
        )
    return (code or 1) if "stdout" in LOST else code


def takes_unicode(stream):
    """Whether a stream can write every letter there is.

    Args:
        stream: a text stream, or None.
    """
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def _is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _point_at_null(number, mode):
    null = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
    if null != number:
        os.dup2(null, number)
        os.close(null)
