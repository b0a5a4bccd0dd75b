"""Asked to stop: Ctrl-C, or the SIGTERM that a machine sends before it is taken away."""

import contextlib
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    """For the time of a `with` block, be told of Ctrl-C and SIGTERM.

    Args:
        at_once: raise `Stopped` on the spot; otherwise the first signal only sets `asked`, and the second one raises.

    Yields:
        A `Stop`.
    """
    stop = Stop()

    def heard(signum, frame):
        if at_once or stop.asked:
            raise Stopped(f"stopped by {signal.Signals(signum).name}", signum)
        stop.asked = signum

    if threading.current_thread() is not threading.main_thread():  # Python hands signals to the main thread only
        yield stop
        return
    before = {signum: signal.signal(signum, heard) for signum in SIGNALS}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
