"""What this machine, its packages and its folders are fit for, and the remedy where they are not: `kerastl doctor`.

Facts are gathered first, as plain values; then every rule of `RULES` looks at them, for problems, and every rule of `WARNINGS`,
for what may work all the same. Nothing here needs TensorFlow, or NumPy, to start: that one of them does not is a finding.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from kerastl.circumstances import versions
from kerastl.data.home import home, keras_home, prepared_home
from kerastl.errors import UserError, brief
from kerastl.processor import instructions, processor
from kerastl.schema import CacheBudget
from kerastl.startup import start_tensorflow

# What is kept there, where that is, and what moves it.
PLACES = (
    ("features and images, kerastl", home, "KERAS_HOME"),
    ("weights, Keras", lambda: keras_home() / "models", "KERAS_HOME"),
    ("datasets, Keras", lambda: keras_home() / "datasets", "KERAS_HOME"),
    ("datasets, TensorFlow Datasets", prepared_home, "TFDS_DATA_DIR"),
    ("runs", lambda: Path("runs").absolute(), "--out"),
)
LITTLE_DISK = 1e9  # bytes: a ResNet-50 in training, its state and its exports
TELLING = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")  # instruction sets that decide how fast
# The upper bounds of setup.cfg are what was tested; beyond them is a warning.
UNTESTED_MAY_WORK = ("tensorflow", "keras")
PROBED = {"network": "ResNet50", "image_size": 64, "batch": 32, "precision": "float32"}


def examine(probe=True):
    """Look at everything that training here depends on.

    Args:
        probe: also time a few steps of a network, which takes some ten seconds.

    Returns:
        A dict of plain values: versions, packages, machine, tensorflow, places, speed (images per second, None without a
        probe), problems, and warnings, each with its remedy.

    Example:
        >>> examine(probe=False)["problems"]  # doctest: +SKIP
        [{'problem': 'numpy 1.26.4: kerastl needs >=2.0', 'remedy': 'pip install "numpy>=2.0"'}]
    """
    found = {"versions": versions(), "packages": packages(), "machine": hardware(), "places": places()}
    found["tensorflow"] = as_started(found["machine"])
    found["speed"] = speed() if probe and not found["tensorflow"]["failed"] else None
    problems = [{"problem": told, "remedy": remedy} for rule in RULES for told, remedy in rule(found)]
    warnings = [{"warning": told, "remedy": remedy} for rule in WARNINGS for told, remedy in rule(found)]
    return {**found, "problems": problems, "warnings": warnings}


def packages(name="kerastl"):
    """What the package says it needs, against what is there: its own metadata is the list.

    Args:
        name: of an installed package.

    Returns:
        A dict: `unmet`, a list of requirements that are not met, also those of what it needs; and `extras`, from extra to what
        of it is not there. None where it is not installed as a package.
    """
    try:
        extras = importlib.metadata.metadata(name).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    seen = set()
    unmet = _unmet(name, (), seen)
    beyond = {extra: _unmet(name, (extra,), set(seen)) for extra in sorted(extras)}
    return {
        "unmet": unmet,
        "extras": {extra: [it["needs"] for it in rows if it not in unmet] for extra, rows in beyond.items()},
    }


def _unmet(name, extras, seen):
    """Requirements that are not met; what is in `seen` is not looked at, and what was looked at is put there."""
    waiting, unmet = [(name, extras)], []
    while waiting:
        package, wanted = waiting.pop()
        seen.add((package, wanted))
        for needed in _needs(package):
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                continue
            there = _version(needed.name)
            if there is None or not needed.specifier.contains(there, prereleases=True):
                unmet.append({"needs": f"{needed.name}{needed.specifier}", "found": there, "by": package})
            elif (further := (needed.name, tuple(sorted(needed.extras)))) not in seen:
                waiting.append(further)
    return unmet


def _needs(package):
    return [Requirement(text) for text in importlib.metadata.requires(package) or ()]


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware():
    """System, processor, memory in bytes, and what NVIDIA's own tool says of its devices."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "instructions": [name for name in TELLING if name in instructions()] if instructions() else None,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": _memory(),
        "nvidia": _nvidia(),
    }


def _memory():
    """Of the machine, or of the container; None where the system does not say."""
    if not hasattr(os, "sysconf"):
        return None
    limits = [Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory/memory.limit_in_bytes")]
    told = [path.read_text(encoding="utf-8").strip() for path in limits if path.is_file()]
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *(int(it) for it in told if it.isdigit())])


def _nvidia():
    """Names, memory and driver; or, where the tool fails, what it says."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"devices": [], "failed": None}
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return {"devices": [], "failed": brief(error)}
    lines = (done.stdout or done.stderr).strip().splitlines() or ["no answer"]
    return {"devices": [], "failed": lines[0]} if done.returncode else {"devices": lines, "failed": None}


def as_started(machine):
    """TensorFlow and Keras as they are once started; `failed` says why they are not.

    Args:
        machine: what `hardware` gave: without AVX the import would end this process.
    """
    if _lacks_avx(machine):
        return {"failed": "the processor has no AVX", "devices": []}
    try:
        start_tensorflow()
        import tensorflow as tf
    except Exception as error:
        return {"failed": str(error) if isinstance(error, UserError) else brief(error), "devices": []}
    return {
        "failed": None,
        "devices": [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices()],
        "built_with_cuda": tf.test.is_built_with_cuda(),
    }


def _lacks_avx(machine):
    return machine["instructions"] is not None and "avx" not in machine["instructions"]


def places():
    """Every folder in which something is kept: its bytes, what is left on its disk, and whether it can be written to."""
    rows = []
    for what, where, moved_by in PLACES:
        path = where()
        there = next(parent for parent in (path, *path.parents) if os.access(parent, os.F_OK))
        rows.append(
            {
                "what": what,
                "path": str(path),
                "moved_by": moved_by,
                "bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
                "free": shutil.disk_usage(there).free,
                "unwritable": _unwritable(there),
            }
        )
    return rows


def _unwritable(folder):
    """Why no file can be made there: tried, as rights, quotas and read-only disks all have a say."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return brief(error)
    return None


def speed():
    """Images per second of a ResNet-50 with random weights: forward alone, and with the gradients of a training step."""
    import keras
    import numpy as np

    from kerastl.train.precision import step_seconds

    shape, batch, policy = (PROBED["image_size"],) * 2 + (3,), PROBED["batch"], PROBED["precision"]
    network = getattr(keras.applications, PROBED["network"])(weights=None, input_shape=shape, classes=10)
    images = np.random.default_rng(0).uniform(0, 255, (batch, *shape))
    seconds = {
        name: step_seconds(network, images, training, (policy,))[policy]
        for name, training in (("forward", False), ("training", True))
    }
    return {**PROBED, **{name: round(batch / it, 1) for name, it in seconds.items()}}


def _packages_fit(found):
    if found["packages"] is None:
        yield "kerastl is not installed as a package, so what it needs is not known", "pip install . in its checkout"
        return
    for it in found["packages"]["unmet"]:
        if not _newer_than_tested(it):
            yield (
                f"{it['needs']} is needed by {it['by']}; found {it['found'] or 'nothing'}",
                f'pip install "{it["needs"]}"',
            )


def _versions_were_tested(found):
    for it in (found["packages"] or {"unmet": ()})["unmet"]:
        if _newer_than_tested(it):
            yield (
                f"{Requirement(it['needs']).name} {it['found']} is newer than kerastl was tested with; it may work all the same",
                f'if something fails, pip install "{it["needs"]}"',
            )


def _newer_than_tested(unmet):
    """Whether kerastl itself names an upper bound, and that is all that a version of TensorFlow or Keras fails."""
    needed = Requirement(unmet["needs"])
    if unmet["by"] != "kerastl" or unmet["found"] is None or needed.name not in UNTESTED_MAY_WORK:
        return False
    from_below = SpecifierSet(",".join(str(it) for it in needed.specifier if not it.operator.startswith("<")))
    return from_below.contains(unmet["found"], prereleases=True)


def _tensorflow_starts(found):
    if failed := found["tensorflow"]["failed"]:
        yield f"TensorFlow and Keras cannot be started: {failed}", _start_remedy(found)


def _start_remedy(found):
    if _lacks_avx(found["machine"]):
        return "use a machine with AVX, which TensorFlow's wheels are made for"
    return "mend what is named here, or begin with a new environment: python -m venv"


def _gpus_are_seen(found):
    nvidia, devices = found["machine"]["nvidia"], found["tensorflow"]["devices"]
    if nvidia["failed"]:
        yield f"nvidia-smi fails: {nvidia['failed']}", "install the driver again, and restart the machine"
    if nvidia["devices"] and not found["tensorflow"]["failed"] and not any(name.startswith("GPU") for name in devices):
        yield f"nvidia-smi shows {nvidia['devices'][0]}, TensorFlow sees no GPU", _gpu_remedy(found)


def _gpu_remedy(found):
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides it: unset CUDA_VISIBLE_DEVICES"
    if platform.system() == "Windows":
        return "TensorFlow has no GPU on Windows itself: work in WSL 2"
    return f'its CUDA libraries are missing: pip install "tensorflow[and-cuda]=={found["versions"]["tensorflow"]}"'


def _places_are_fit(found):
    for it in found["places"]:
        elsewhere = f"name another place with {it['moved_by']}"
        if it["unwritable"]:
            yield f"{it['path']} ({it['what']}) cannot be written to: {it['unwritable']}", elsewhere
        elif it["free"] < LITTLE_DISK:
            yield f"{it['path']} ({it['what']}) has {it['free'] / 1e9:.1f} GB left", f"make room, or {elsewhere}"


def _memory_is_enough(found):
    memory, held = found["machine"]["memory"], CacheBudget().ram
    if memory is not None and memory < 2 * held:
        yield (
            f"found {memory / 1e9:.1f} GB of memory; features alone may take {held / 1e9:.0f} GB of it",
            f"--set train.cache_budget.ram={memory / 4:.0f}, and a smaller train.batch_size",
        )


RULES = (_packages_fit, _tensorflow_starts, _gpus_are_seen, _places_are_fit, _memory_is_enough)
WARNINGS = (_versions_were_tested,)
