"""Which number format to train in."""

import torch


def choose_precision(asked: str, accelerator: str) -> str:
    """Return Lightning's name for ``asked``; "auto" is bf16 where the hardware multiplies in it, else 32-bit."""
    if asked != "auto":
        return asked
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else _cpu_has_bf16()
    return "bf16-mixed" if has_bf16 else "32-true"


def _cpu_has_bf16() -> bool:
    # torch runs bf16 on any CPU, and slowly where these instructions are missing
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
