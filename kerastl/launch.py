"""Several workers on one machine: N processes of the command line, each told by TF_CONFIG who the others are."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kerastl.errors import KerastlError

# The command line of this very kerastl; with -P nothing is imported from the folder one stands in, where a stranger's typer.py may lie.
START = "import sys; sys.path.append(sys.argv.pop(1)); from kerastl.cli import main; main()"
LEAVING = 7  # seconds that all have after SIGTERM; ten are promised
PATIENCE = 120  # seconds that the others have to end by themselves after one was lost


def launch(workers, arguments, patience=PATIENCE):
    """Run a command of kerastl in several workers and wait for them.

    The first one's output is shown; that of another only when it fails.

    Args:
        workers: how many.
        arguments: of the command line, as ["train", "quickstart", "--out", "runs/two"].
        patience: seconds that the others have to end by themselves after one was lost.

    Raises:
        KerastlError: a worker failed; the others were ended.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    with contextlib.ExitStack() as stack:
        logs = [None, *(stack.enter_context(tempfile.TemporaryFile("w+")) for _ in addresses[1:])]
        processes = [_start(addresses, place, arguments, log) for place, log in enumerate(logs)]
        try:
            _wait(processes, patience)
        except KeyboardInterrupt:  # each of them keeps its state
            for process in processes:
                process.terminate()
            _wait(processes, LEAVING, first=False)
            raise
        finally:
            for process in processes:
                process.kill()
                process.wait()
        failed = [place for place, process in enumerate(processes) if process.returncode]
        if failed:
            told = "".join(f"\n{_last_words(place, logs[place])}" for place in failed if logs[place])
            raise KerastlError(f"{len(failed)} of {workers} workers failed{told}")


def _start(addresses, place, arguments, log):
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": place}}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", START, str(Path(__file__).parents[1]), *arguments],
        env={**os.environ, "TF_CONFIG": json.dumps(config)},
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
    )


def _wait(processes, patience, first=True):
    """Until all have ended, or patience with those that are left: after the first failure, or from now on."""
    deadline = None if first else time.monotonic() + patience
    while any(process.poll() is None for process in processes):
        if deadline is None and any(process.returncode for process in processes):
            deadline = time.monotonic() + patience
        if deadline and time.monotonic() > deadline:
            return
        time.sleep(0.1)


def _last_words(place, log):
    log.seek(0)
    return f"worker {place + 1}: " + "\n".join(log.read().splitlines()[-5:])


def _free_ports(count):
    """Ports nobody listens on now; all are held until the last one is found, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]
