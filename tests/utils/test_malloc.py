"""Memory that training frees."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ser_lightning.utils.malloc import kept_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
_MB = 2**20


def _made_and_freed(size_mb: int) -> None:
    torch.ones(size_mb * _MB // 4)


def pages_taken() -> int:
    """Pages that making and freeing a tensor of 64 MB, twenty times, asks the system for."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        _made_and_freed(64)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / _MB


def test_freed_memory_is_taken_again():
    code = (  # in a process of its own, whose heap has no hole of that size yet
        "from test_malloc import kept_memory, pages_taken; print(pages_taken())\n"
        "with kept_memory(): pages_taken(); print(pages_taken())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    without, kept = (int(line) for line in said.stdout.split())
    pages = 64 * _MB / resource.getpagesize()
    assert without > 10 * pages
    assert kept < pages


def test_freed_memory_is_given_back_in_the_end():
    with kept_memory():
        _made_and_freed(256)
        kept = _resident_mb()
    assert _resident_mb() < kept - 200
