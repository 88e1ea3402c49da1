"""The resident memory of this process, as Linux counts it."""

import ctypes
import gc
import re
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def now() -> int | None:
    """Bytes that are in memory now; None where the system does not tell."""
    return _read("VmRSS")


def peak() -> int | None:
    """The most bytes since the process started, or since :func:`reset_peak`.

    Not ``ru_maxrss``: a process inherits that from the one that starts it, and nothing lowers it.
    """
    return _read("VmHWM")


def reset_peak() -> bool:
    """Makes what is in memory now the peak, and says whether that was permitted."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def return_free_memory() -> None:
    """Gives to the system what nobody uses any more, as far as the allocator can."""
    gc.collect()
    if hasattr(library := ctypes.CDLL(None), "malloc_trim"):  # glibc's
        library.malloc_trim(0)


def _read(key: str) -> int | None:
    try:
        found = re.search(rf"^{key}:\s*(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.M)
    except OSError:
        return None
    return 1024 * int(found[1]) if found else None
