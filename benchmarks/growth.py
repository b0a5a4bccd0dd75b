"""Growth: seconds and memory of cifar10-fast for more and more images, features held in memory and read from disk.

    python benchmarks/growth.py DATA_DIR RESNET_WEIGHTS [IMAGES ...]

Each line is a process of its own with an empty cache. Memory is the peak of what the process itself allocates (RssAnon): pages of
memory-mapped files can be taken back by the system at any time. "read" keeps nothing in memory (train.cache_budget.ram = 0).

A single line, for a shell that was put under a limit of memory:

    python benchmarks/growth.py --one DATA_DIR RESNET_WEIGHTS 20000 0
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def watched_peak():
    """The most that this process has allocated from now on, in bytes: the only item of a list that keeps up with it."""
    peak = [0]

    def watch():
        while True:
            peak[0] = max(peak[0], anonymous())
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    return peak


def one(data_dir, weights, images, ram):
    os.environ["KERAS_HOME"] = tempfile.mkdtemp()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kerastl import build_model, fit, layer_groups, load, plan, recipe

    peak = watched_peak()
    changes = {
        "data.dir": data_dir,
        "model.weights": weights,
        "data.limit": int(images),
        "train.cache_budget.ram": float(ram),
    }
    spec = recipe("cifar10-fast", **changes, **{"train.precision": "mixed_bfloat16"})
    data = load(spec.data, spec.model.image_size, 0)
    model = build_model(spec.model, data.shape, 10)
    groups = layer_groups(model, spec.model.backbone)
    plans = plan(model, groups, spec, data.counts)
    done = fit(model, data, spec, plans, groups, tempfile.mkdtemp())
    print(json.dumps({"seconds": sum(it["seconds"] for it in done), "peak": peak[0], "bytes": plans[1].frontier.bytes}))


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(*sys.argv[2:])
        sys.exit()
    sizes = [int(size) for size in sys.argv[3:]] or [1000, 5000, 20000]
    for ram in ("20e9", "0"):
        points = []
        for size in sizes:
            command = [sys.executable, __file__, "--one", sys.argv[1], sys.argv[2], str(size), ram]
            told = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            points.append((size, told["seconds"]))
            where = "read" if ram == "0" else "held"
            print(
                f"{where}  {size:6} images  {told['seconds']:7.1f} s  features {told['bytes'] / 1e9:5.2f} GB  "
                f"peak {told['peak'] / 1e9:5.2f} GB",
                flush=True,
            )
        slopes = [(s2 - s1) / (n2 - n1) * 1000 for (n1, s1), (n2, s2) in itertools.pairwise(points)]
        print("      seconds for 1,000 images more: " + ", ".join(f"{slope:.2f}" for slope in slopes))
