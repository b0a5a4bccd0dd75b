"""Twelve trials by two processes on one study; one is killed in the middle of a trial, a third one comes later.

    python benchmarks/shared_sweep.py [URL]

URL is that of a database (`pip install "kerastl[postgresql]"` for PostgreSQL's); without one it is SQLite's, in the folder of
the sweep. The recipe is the tiny one of the tests: 48 scans, a small network, two phases of one epoch.
"""

import collections
import csv
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

OVER = {"phases.0.optimizer.learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], "train.batch_size": [16, 32]}
LINES = 3  # epochs that the first process ends before it is killed: a trial has two


def worker(folder, url):
    from kerastl import recipe, sweep
    from tests.conftest import TINY

    spec = recipe("cifar10-freeze-first", **TINY, **{"export.formats": []})
    sweep(spec, OVER, folder / "sweep", storage=url)


def start(name, folder, url):
    log = (folder / f"{name}.log").open("w")
    arguments = [sys.executable, __file__, "--worker", str(folder), *([url] if url else [])]
    return subprocess.Popen(arguments, stdout=log, stderr=log)


def epochs(folder, name):
    return sum(" epoch " in line for line in (folder / f"{name}.log").read_text().splitlines())


def measure(folder, url):
    from kerastl.database import open_storage, optuna
    from kerastl.study import counted

    began = time.perf_counter()
    first, second = (start(name, folder, url) for name in ("first", "second"))
    while epochs(folder, "first") < LINES:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    killed = time.perf_counter() - began
    third = start("third", folder, url)
    codes = [it.wait() for it in (first, second, third)]
    seconds = time.perf_counter() - began
    storage = open_storage(url or f"sqlite:///{folder / 'sweep' / 'sweep.db'}")
    summaries = optuna.get_all_study_summaries(storage)
    studies = {it.study_name: optuna.load_study(study_name=it.study_name, storage=storage) for it in summaries}
    trials, scored = (studies[name] for name in sorted(studies, key=len))
    done = [it for it in trials.trials if it.state.is_finished() and it.state.name != "FAIL"]
    times = collections.Counter(it.user_attrs["place"] for it in done)
    died = [it for it in trials.trials if it.state.name == "FAIL" and "double" not in it.user_attrs]
    with (folder / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    per_process = {name: epochs(folder, name) for name in ("first", "second", "third")}
    print(
        f"database: {storage.engine.dialect.name}; exit codes {codes}; {seconds:.0f} s, the first killed after {killed:.0f} s"
    )
    print(f"trials that died: {[it.user_attrs['place'] for it in died]} (place of the setting)")
    print(
        f"results: {len(times)} of {len(list(itertools.product(*OVER.values())))} settings, {len(rows)} rows in sweep.csv"
    )
    print(f"results that are there twice: {sum(n > 1 for n in times.values())}")
    print(
        f"epochs trained: {sum(per_process.values())} {per_process}, for {2 * len(times)} in the results and 2 of the winner"
    )
    print(f"winners scored on test: {sum(it.state.name == 'COMPLETE' for it in counted(scored).values())}")
    return codes[1:] == [0, 0] and len(times) == len(rows) == 12 and max(times.values()) == 1


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker(Path(sys.argv[2]), (*sys.argv, None)[3])
    else:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(not measure(Path(folder), (*sys.argv, None)[1]))
