"""Describe what a run ran on, as plain values."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ser_lightning.runs.result_parts import Environment
from ser_lightning.utils import cores

_PACKAGES = (
    "torch",
    "torchaudio",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "wandb",
    "numpy",
    "soundfile",
    "soxr",
    "transformers",
    "opensmile",
)


def describe(device: torch.device, precision: str) -> Environment:
    """Return versions, device, threads and the commit of the code."""
    settled = cores.settled
    return Environment(
        ser_lightning=_version("ser-lightning"),
        commit=_commit(),
        python=platform.python_version(),
        platform=platform.system() + " " + platform.machine(),
        packages={name: _version(name) for name in _PACKAGES},
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}: {_cpu()}",
        threads=torch.get_num_threads(),
        threads_wait=settled and settled.waiting,
        cores=settled and settled.cores,
        cores_used_by_others=settled and settled.others,
        precision=precision,
    )


def _commit() -> str | None:
    """Return the checked-out commit, with a + where files differ from it; None outside a git checkout."""
    code = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=code, capture_output=True, text=True, timeout=10)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=code, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "") if head.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
