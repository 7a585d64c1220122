"""Memory that training frees."""

import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ser_lightning.training import callbacks
from ser_lightning.utils.malloc import kept_memory, trim

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


def given_back_mb() -> float:
    """Resident memory that goes when memory is no longer kept, after 256 MB were freed."""
    with kept_memory():
        _made_and_freed(256)
        kept = _resident_mb()
    return kept - _resident_mb()


def trimmed_mb() -> float:
    """Resident memory that goes when kept memory is trimmed, after 256 MB were freed."""
    with kept_memory():
        _made_and_freed(256)
        kept = _resident_mb()
        trim()
        return kept - _resident_mb()


def in_a_process_of_its_own(code: str) -> list[float]:
    """Numbers that code prints; its heap has no hole of such a size yet."""
    begin = "from test_malloc import given_back_mb, kept_memory, pages_taken, trimmed_mb\n"
    said = subprocess.run(
        [sys.executable, "-c", begin + code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return [float(line) for line in said.stdout.split()]


def test_freed_memory_is_taken_again():
    without, kept = in_a_process_of_its_own(
        "print(pages_taken())\nwith kept_memory(): pages_taken(); print(pages_taken())"
    )
    pages = 64 * _MB / resource.getpagesize()
    assert without > 10 * pages
    assert kept < pages


def test_freed_memory_is_given_back_in_the_end():
    (given_back,) = in_a_process_of_its_own("print(given_back_mb())")
    assert given_back > 200


def test_what_is_kept_can_be_trimmed():
    (trimmed,) = in_a_process_of_its_own("print(trimmed_mb())")
    assert trimmed > 200


@pytest.mark.parametrize(("every_s", "times"), [(-1.0, 2), (3600.0, 0)])
def test_a_training_trims_now_and_then(monkeypatch, every_s, times):
    trimmed = []
    monkeypatch.setattr(callbacks, "trim", lambda: trimmed.append(True))
    monkeypatch.setattr(callbacks, "_TRIMMED_EVERY_S", every_s)
    trimming = callbacks.TrimMemory()
    for _ in range(2):
        trimming.on_train_batch_end()
    assert len(trimmed) == times
