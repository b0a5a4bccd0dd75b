"""What a run was made with, as far as it can make a difference: versions, machine, commit, memory."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

# What metrics.json says of the machine and its mood: two runs of a recipe differ in it.
MOODS = {
    "seconds",
    "feature_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "milliseconds_1",
    "milliseconds_32",
    "run",
    "exports_folder",
}
PACKAGES = ("kerastl", "tensorflow", "keras", "numpy", "tensorflow-datasets", "scikit-learn", "pillow")


def versions():
    """Of Python and of every package that decides what a run gives; None for one that is not installed as a package."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def machine():
    """System, processor and the devices TensorFlow sees."""
    import tensorflow as tf

    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "devices": [device.device_type for device in tf.config.get_visible_devices()],
    }


def peak_memory():
    """Bytes of memory this process has held at most; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def git_revision():
    """The commit of the checkout this package runs from; None for an installed package."""
    here = Path(__file__).resolve()
    git = ["git", "-C", str(here.parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], check=True, capture_output=True, timeout=10)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip()


def timeless(value):
    """What of metrics.json, or of a part of it, is the same in two runs of a recipe.

    Example:
        >>> timeless({"phases": [{"steps": 3, "seconds": 1.5}]})
        {'phases': [{'steps': 3}]}
    """
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in MOODS}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
