"""Choose the number format to compute in."""

import torch

_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def choose_precision(asked: str, accelerator: str) -> str:
    """Return Lightning's name for ``asked``; "auto" is bf16 where the hardware multiplies in it, else 32-bit."""
    if asked != "auto":
        return asked
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    if on_gpu:
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # torch runs bf16 on any CPU, and slowly where these instructions are missing
        has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16-mixed" if has_bf16 else "32-true"


def autocast(precision: str, device: str) -> torch.autocast:
    """Return the context in which a model computes as Lightning's trainer does at this precision."""
    return torch.autocast(device, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST)
