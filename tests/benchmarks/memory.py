"""The most memory that a process has had; it imports nothing, so that it measures no imports."""

import re
import resource
from pathlib import Path

KB = 1024
STATUS = Path("/proc/self/status")


def peak() -> float:
    """Return the most memory that this process has had, in MB of 2**20 bytes.

    What ``getrusage`` says is at least the peak of the process that started this one, so it counts
    only where Linux's own figure is missing.
    """
    if STATUS.exists() and (found := re.search(r"VmHWM:\s*(\d+)", STATUS.read_text())):
        return int(found[1]) / KB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB
