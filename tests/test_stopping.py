"""SIGTERM ends a process within the bound, whatever it is at, and nothing but that process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from kerastl.data.threads import ahead
from kerastl.stopping import Stopped, leave_at_once, stop_signals
from kerastl.train.state import Keeper

# `ready` is said from within C where the signal has to come there: said by Python, the signal may come before the call.
BEGIN = """
import ctypes, os, signal, sys, time
from kerastl import stopping
from kerastl.stopping import *
stopping.GRACE = 0.3
def ready(): print("ready", flush=True)
def ready_in_c(library): library.system(b"echo ready; exec sleep 60 >/dev/null 2>&1")
"""
# What the process is at when SIGTERM comes: its exit code, and what it says.
PROCESSES = {
    "a loop": ("with leave_at_once(), stop_signals():\n ready()\n while True: time.sleep(0.1)", 1, "Stopped: stopped by SIGTERM"),
    "a call into C": ("with stop_signals():\n ready_in_c(ctypes.CDLL(None))", 143, "did not end within"),
    "a patient loop": ("with stop_signals(at_once=False):\n ready()\n while True: time.sleep(0.1)", 143, "did not end within"),
    "a call into C that lets no thread run": (
        "with stop_signals(), killed_by_sigterm():\n ready_in_c(ctypes.PyDLL(None))",
        -signal.SIGTERM,
        "",
    ),
    "what comes after it": (
        "try:\n with stop_signals():\n  ready()\n  time.sleep(60)\nexcept Stopped: pass\ntime.sleep(1); print('went on')",
        0,
        "went on",
    ),
    "the way out": (
        "signal.signal(15, signal.SIG_IGN)\n"
        "with leave_at_once():\n import atexit; atexit.register(time.sleep, 60); ready(); sys.exit(143)",
        143,
        "",
    ),
    "a child's own": (
        "with stop_signals():\n child = os.fork()\n if not child:\n  time.sleep(60)\n  os._exit(0)\n"
        " time.sleep(0.3); os.kill(child, signal.SIGTERM); os.waitpid(child, 0); time.sleep(1); print('went on'); ready()\n time.sleep(60)",
        1,
        "went on",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSES)
def test_sigterm_ends_a_process_in_time(name, tmp_path):
    lines, code, told = PROCESSES[name]
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + lines],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = ""
        while not said.endswith("ready\n"):
            said += (line := process.stdout.readline())
            assert line, said
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=10)[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started as well
    assert process.returncode == code and told in said


def test_what_nobody_answered_is_raised_as_the_block_ends():
    with pytest.raises(Stopped, match="stopped by SIGTERM"), stop_signals(at_once=False) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked == signal.SIGTERM


def test_other_codes_go_their_way():
    with pytest.raises(SystemExit), leave_at_once():
        sys.exit(2)


def test_nothing_is_worked_on_ahead_once_nobody_takes_it():
    looked = []

    def look(item):
        looked.append(item)
        time.sleep(0.01 if item else 0)
        return item

    answers = ahead(look, range(4001), chunk=1000)  # some seconds for each thread
    began = time.monotonic()
    with pytest.raises(Stopped), stop_signals():
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        list(answers)
    assert time.monotonic() - began < 3 and len(looked) < 1000


def test_a_validation_ends_at_its_next_step():
    plan, stop = SimpleNamespace(phase=SimpleNamespace(name="head")), SimpleNamespace(asked=None)
    keeper = Keeper(Path("run"), plan, [], None, stop, 60, 0.0)
    keeper.on_test_batch_end(0)
    stop.asked = signal.SIGTERM
    with pytest.raises(Stopped, match="stopped by SIGTERM; the state before phase 'head' is kept"):
        keeper.on_test_batch_end(1)
