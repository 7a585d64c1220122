"""Memory that training frees."""

import platform
import resource

import pytest
import torch

from ser_lightning.memory import kept_memory


def _pages_taken() -> int:
    """Pages that making and freeing a tensor of 64 MB, twenty times, asks the system for."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_taken_again_inside_and_given_back_after():
    outside = _pages_taken()
    with kept_memory():
        _pages_taken()  # what the process grows by
        inside = _pages_taken()
    assert inside < outside / 10
    assert _pages_taken() > outside / 2
