"""The selective scan: a linear recurrence whose decay, input and output weights change at every step.

Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023, arXiv 2312.00752, section 3.2,
whose names A, B, C, D and Δ are kept. Time comes first here, so that a step is one block of memory.

F: frames.  B, C, in a shape: clips, channels.  E: states of each channel.
"""

import logging
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from ser_lightning.models.layers.scan_cpu import Recurrence
from ser_lightning.utils.errors import UserError, check_choice

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "cuda")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor,
    delta_bias: Tensor,
    *,
    backend: str = "auto",
) -> Tensor:
    """Return what `selective_scan_reference` does, fast, with decay and state in 32 bits at least.

    Args:
        u, delta, z: (F, B, C).
        A: (C, E), negative.
        B, C: (F, B, E).
        D, delta_bias: (C,).
        backend: "torch" is the path below; "cuda" is mamba_ssm's, the same numbers from its kernels; "auto" takes
            these where they are installed and the tensors on a GPU.
    Returns: (F, B, C), in the number format of ``u``.
    Raises: UserError for "cuda" where it cannot be had.
    """
    if _takes_kernels(backend, u.device):
        return _scan_by_kernels(u, delta, A, B, C, D, z, delta_bias)
    dtype = torch.promote_types(u.dtype, torch.float32)
    wide = u.to(dtype)
    delta = functional.softplus(delta.to(dtype) + delta_bias)
    y = Recurrence.apply(delta * wide, delta, B.to(dtype), C.to(dtype), A.to(dtype).t().contiguous())
    return (torch.addcmul(y, wide, D) * functional.silu(z.to(dtype))).to(u.dtype)


def selective_scan_reference(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, delta_bias: Tensor
) -> Tensor:
    """Compute the recurrence as it is written, slowly; arguments as for `selective_scan`.

    With Δ = softplus(delta + delta_bias):

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t
        y_t = (C_t · h_t + D u_t) silu(z_t)
    """
    delta = functional.softplus(delta + delta_bias)
    state = torch.zeros_like(A)
    y = []
    for u_t, delta_t, B_t, C_t in zip(u, delta, B, C, strict=True):
        decay = torch.exp(delta_t[..., None] * A)  # (B, C, E)
        state = decay * state + (delta_t * u_t)[..., None] * B_t[:, None]  # (B, C, E)
        y.append((state * C_t[:, None]).sum(-1))  # (B, C)
    return (torch.stack(y) + D * u) * functional.silu(z)


def check_backend(backend: str) -> None:
    """Raise UserError for a backend that is not known, or whose kernels are not installed."""
    check_choice("model.net.", BACKENDS, backend=backend)
    if backend == "cuda" and _kernels() is None:
        raise UserError(
            "model.net.backend=cuda needs mamba_ssm, which cannot be imported here: pip install -e '.[mamba]' "
            "(Linux with CUDA), or use model.net.backend=auto"
        )


def _takes_kernels(backend: str, device: torch.device) -> bool:
    check_backend(backend)
    if backend == "cuda" and device.type != "cuda":
        raise UserError(
            f"model.net.backend=cuda, but the model is on the {device.type}: use a GPU, or backend=auto"
        )
    taken = backend != "torch" and device.type == "cuda" and _kernels() is not None
    _announce("mamba_ssm's kernels" if taken else "PyTorch", device.type)
    return taken


@cache
def _announce(path: str, device: str) -> None:
    """Log which path does the scan, once for each device."""
    log.info("the selective scan is done by %s, on the %s", path, device)


@cache
def _kernels() -> Callable[..., Tensor] | None:
    """Import mamba_ssm's scan, which takes long, only when it would be used; None where it cannot be imported."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except Exception as error:  # built for another PyTorch, CUDA or Triton, it may raise anything
        if getattr(error, "name", None) != "mamba_ssm":
            log.warning("mamba_ssm is installed but cannot be imported: %s", error)
        return None
    return selective_scan_fn


def _scan_by_kernels(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, delta_bias: Tensor
) -> Tensor:
    """Run the kernels, which want time last, what varies in time in one format, and the rest in 32 bits."""
    kernels = _kernels()
    assert kernels is not None
    u, delta, B, C, z = (x.to(u.dtype).permute(1, 2, 0).contiguous() for x in (u, delta, B, C, z))  # (B, …, F)
    A, D, delta_bias = (x.float() for x in (A, D, delta_bias))
    y = kernels(u, delta, A, B, C, D, z=z, delta_bias=delta_bias, delta_softplus=True)  # (B, C, F)
    return y.permute(2, 0, 1)
