"""What the system says of its processor."""

import platform
from pathlib import Path


def processor():
    """Its name."""
    return _told("model name") or platform.processor() or platform.machine()


def instructions():
    """Names of the instruction sets it has, as avx2 or avx512f; empty where the system does not say."""
    return _told("flags").split()


def _told(key):
    """Of the first core, in the words of Linux; empty elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")
