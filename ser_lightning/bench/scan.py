"""The selective scan, forward and backward: ours, mambapy's parallel scan, and the plain loop. On the CPU.

``python -m ser_lightning.bench.scan WAY CLIPS FRAMES …`` prints the peak of memory in MB for each number of frames.
That takes a process of its own: what another way leaves behind would be counted too.

F: frames.  B: clips.  C: channels.  E: states of each channel.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ser_lightning.models.layers.selective_scan import selective_scan, selective_scan_reference

N_CHANNELS, N_STATES = 512, 16
_MB = 1e6


class Problem:
    """Random arguments of a scan and a gradient for its answer, time first or (``clips_first``) second."""

    def __init__(self, n_clips: int, n_frames: int, *, clips_first: bool = False):
        generator = torch.Generator().manual_seed(0)

        def random(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        def sequence(width: int) -> Tensor:
            return random(n_clips, n_frames, width) if clips_first else random(n_frames, n_clips, width)

        A = -torch.arange(1.0, N_STATES + 1).repeat(N_CHANNELS, 1)
        u, delta, z, self._grad_y = (sequence(N_CHANNELS) for _ in range(4))
        B, C = (sequence(N_STATES) for _ in range(2))
        self._given = [u, delta, A, B, C, torch.ones(N_CHANNELS), z, random(N_CHANNELS) - 4]
        for x in self._given:
            x.requires_grad_()

    def seconds(self, scan: Callable[..., Tensor]) -> float:
        """Return the seconds of one forward and one backward."""
        for x in self._given:
            x.grad = None
        start = time.perf_counter()
        scan(*self._given).backward(self._grad_y)
        return time.perf_counter() - start


def mambapys_scan() -> Callable[..., Tensor] | None:
    """Return its parallel scan, between the same softplus and gate as ours; None where it is not installed."""
    try:
        from mambapy.mamba import MambaBlock, MambaConfig
    except ImportError:
        return None
    block = MambaBlock(MambaConfig(d_model=N_CHANNELS // 2, n_layers=1, d_state=N_STATES, expand_factor=2))

    def scan(
        u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, delta_bias: Tensor
    ) -> Tensor:
        y = block.selective_scan(u, functional.softplus(delta + delta_bias), A, B, C, D)
        return y * functional.silu(z)

    return scan


def measured(way: str, n_clips: int, n_frames: int) -> Callable[[], float] | None:
    """Return what times one run of a way, "ours", "mambapy" or "loop", in seconds; None if it is not installed."""
    scan = mambapys_scan() if way == "mambapy" else {"ours": selective_scan, "loop": selective_scan_reference}[way]
    if scan is None:
        return None
    problem = Problem(n_clips, n_frames, clips_first=way == "mambapy")
    return lambda: problem.seconds(scan)


def peaks_mb(way: str, n_clips: int, n_frames: Sequence[int]) -> list[float | None]:
    """Return what a forward and backward needs beyond its arguments, with gradients; None where Linux is not."""
    if not Path("/proc/self/clear_refs").exists():
        return [None] * len(n_frames)
    command = [sys.executable, "-m", __spec__.name, way, str(n_clips), *map(str, n_frames)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(peak) for peak in finished.stdout.split()]


def _peak_mb(way: str, n_clips: int, n_frames: int) -> float:
    run = measured(way, n_clips, n_frames)
    assert run is not None
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _kilobytes("VmRSS")
    run()
    return (_kilobytes("VmHWM") - before) * 1024 / _MB


def _kilobytes(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry))


if __name__ == "__main__":
    chosen, clips, *lengths = sys.argv[1:]
    _peak_mb(chosen, 1, 8)  # what a first call loads is not counted
    for frames in lengths:
        print(f"{_peak_mb(chosen, int(clips), int(frames)):.1f}")
