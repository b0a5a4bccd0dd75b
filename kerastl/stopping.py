"""Asked to stop: Ctrl-C, or the SIGTERM that a machine sends before it is taken away.

Python hands a signal on between two of its own steps. A call into TensorFlow or a converter may take minutes in which it does not,
so a thread beside it hears of SIGTERM too, and ends the process when it has not ended by itself in time. Nothing that is written
whole is lost by that, as nothing is lost by SIGKILL.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 8  # seconds after SIGTERM in which what is being done may end by itself; ten are promised
ENDED = b"\0"  # to the thread; other bytes are numbers of signals
_watched = threading.Lock()


class Stopped(KeyboardInterrupt):
    """The process was asked to end, and what it had done is kept.

    Args:
        message: where the work stands and how it goes on.
        signum: of the signal.
    """

    def __init__(self, message, signum):
        super().__init__(message)
        self.signum = signum


class Stop:
    """Whether the process was asked to end: `asked` is the number of the signal, or None."""

    def __init__(self):
        self.asked = None


@contextlib.contextmanager
def stop_signals(at_once=True):
    """For the time of a `with` block, be told of Ctrl-C and SIGTERM, and end within ten seconds of SIGTERM.

    Args:
        at_once: raise `Stopped` on the spot; otherwise the first signal only sets `asked`, and the second one raises. What has
            not been answered when the block ends is raised then.

    Yields:
        A `Stop`.
    """
    stop, raised = Stop(), []

    def heard(signum, frame):
        if at_once or stop.asked:
            raised.append(signum)
            raise Stopped(f"stopped by {signal.Signals(signum).name}", signum)
        stop.asked = signum

    if threading.current_thread() is not threading.main_thread():  # Python hands signals to the main thread only
        yield stop
        return
    with _ended_in_time():
        before = {signum: signal.signal(signum, heard) for signum in SIGNALS}
        try:
            yield stop
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
        if stop.asked and not raised:
            raise Stopped(f"stopped by {signal.Signals(stop.asked).name}", stop.asked)


@contextlib.contextmanager
def killed_by_sigterm():
    """For the time of a `with` block, let SIGTERM end the process on the spot: around a call in which no thread of Python runs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def leave_at_once():
    """Around a whole program: told by SIGTERM to go, it does not wait for what libraries still do as the interpreter ends."""
    try:
        yield
    except SystemExit as end:
        if end.code != 128 + signal.SIGTERM:
            raise
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(end.code)


@contextlib.contextmanager
def _ended_in_time():
    """The thread beside the work; the outermost block has it."""
    if os.name == "nt" or not _watched.acquire(blocking=False):  # Windows sends no SIGTERM
        yield
        return
    (hears, tells), process = os.pipe(), os.getpid()
    os.set_blocking(tells, False)
    before = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    thread = threading.Thread(target=_wait, args=(hears,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if os.getpid() == process:  # one that was forked meanwhile leaves this to the other
            signal.set_wakeup_fd(before)
            os.write(tells, ENDED)
            thread.join()
        os.close(hears)
        os.close(tells)
        _watched.release()


def _not_ours():
    """A process that was forked from here has the descriptors, and its signals are its own."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_not_ours)


def _wait(hears):
    deadline = None
    while True:
        left = None if deadline is None else max(0, deadline - time.monotonic())
        if not select.select([hears], [], [], left)[0]:
            _end()
        told = os.read(hears, 1)
        if told == ENDED:
            return
        if told[0] == signal.SIGTERM and deadline is None:
            deadline = time.monotonic() + GRACE


def _end():
    told = f"stopped by SIGTERM: what was being done did not end within {GRACE} seconds. What was written before is whole.\n"
    with contextlib.suppress(OSError):
        os.write(2, told.encode())
    os._exit(128 + signal.SIGTERM)
