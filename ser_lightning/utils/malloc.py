"""Keep freed memory with the process, or give it back to the system."""

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt(3); the thresholds it adapts by itself end at the last two
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_NEVER_TRIMMED = 2**31 - 1
_USUAL_MMAP_MAX, _USUAL_MMAP_THRESHOLD, _USUAL_TRIM_THRESHOLD = 65_536, 32 * 2**20, 64 * 2**20


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let what is freed stay with the process, to be taken again, until the context ends.

    A training step on a CPU makes and frees the same large tensors as the one before. The C library of most Linux
    systems hands each back and asks for it anew, and the system zeroes it page by page: about a sixteenth of the
    time of a step. Elsewhere than with glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_MMAP_MAX, 0)
    library.mallopt(_TRIM_THRESHOLD, _NEVER_TRIMMED)
    try:
        yield
    finally:
        library.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        library.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP_THRESHOLD)
        library.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
        trim()


def trim() -> None:
    """Return free memory that the C library holds to the system, where that is glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def give_back() -> None:
    """Return memory that is no longer used to the system, after a collection of cycles.

    Else hundreds of figures of a long-lived process, of some MB each, wait for a collection, and what is freed in
    small pieces stays with the C library.
    """
    gc.collect()
    trim()
