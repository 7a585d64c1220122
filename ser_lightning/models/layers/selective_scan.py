"""The selective scan: a linear recurrence whose decay, input and output weights change at every step.

Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023, arXiv 2312.00752, section 3.2,
whose names A, B, C, D and Δ are kept. Time comes first here, so that a step is one block of memory.

F: frames.  B, in a shape: clips.  E: channels.  N: states of each channel.
"""

import logging
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ser_lightning.errors import UserError

log = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "cuda")
_LOG2_E = 1 / math.log(2)
_TILE = 2**20  # numbers of a tile: few enough to stay in a CPU's cache, many enough to outweigh the calls
_MIN_STEPS = 4  # of a tile, however large the batch: one state in so many is kept for backward


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
    """What `selective_scan_reference` returns, fast, with decay and state in 32 bits at least.

    Args:
        u, delta, z: (F, B, E).
        A: (E, N), negative.
        B, C: (F, B, N).
        D, delta_bias: (E,).
        backend: "torch" is the path below; "cuda" is mamba_ssm's, the same numbers from its kernels; "auto" takes
            these where they are installed and the tensors on a GPU.
    Returns: (F, B, E), in the number format of ``u``.
    Raises: UserError for "cuda" where it cannot be had.
    """
    if _takes_kernels(backend, u.device):
        return _scan_by_kernels(u, delta, A, B, C, D, z, delta_bias)
    dtype = torch.promote_types(u.dtype, torch.float32)
    wide = u.to(dtype)
    delta = functional.softplus(delta.to(dtype) + delta_bias)
    n_clips = max(1, _TILE // (_MIN_STEPS * A.numel()))
    groups = zip(*(x.split(n_clips, 1) for x in (delta * wide, delta, B.to(dtype), C.to(dtype))), strict=True)
    A = A.to(dtype).t().contiguous()  # (N, E)
    y = torch.cat([_Recurrence.apply(*group, A) for group in groups], 1)
    return (torch.addcmul(y, wide, D) * functional.silu(z.to(dtype))).to(u.dtype)


def selective_scan_reference(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor, delta_bias: Tensor
) -> Tensor:
    """The recurrence as it is written, slow; arguments as for `selective_scan`.

    With Δ = softplus(delta + delta_bias):

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t
        y_t = (C_t · h_t + D u_t) silu(z_t)
    """
    delta = functional.softplus(delta + delta_bias)
    state = torch.zeros_like(A)
    y = []
    for u_t, delta_t, B_t, C_t in zip(u, delta, B, C, strict=True):
        decay = torch.exp(delta_t[..., None] * A)  # (B, E, N)
        state = decay * state + (delta_t * u_t)[..., None] * B_t[:, None]  # (B, E, N)
        y.append((state * C_t[:, None]).sum(-1))  # (B, E)
    return (torch.stack(y) + D * u) * functional.silu(z)


class _Recurrence(torch.autograd.Function):
    """h_t = exp(Δ_t A) h_{t-1} + B_t v_t and y_t = C_t · h_t, a tile of a few steps at a time.

    Forward keeps the state before each tile only; backward makes those in between once more. A state is (B, N, E),
    so that whatever is spread over N, or summed over it or over E, goes along rows of E.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
        """v, Δ (F, B, E), B and C (F, B, N), A (N, E) -> y (F, B, E)."""
        y = torch.empty_like(v)
        tile = _Tile(v, A)
        starts = [tile.h.new_zeros(tile.h.shape[1:])]  # (B, N, E)
        for v_s, delta_s, B_s, C_s, y_s in tile.spans(v, delta, B, C, y):
            _, h = tile.states(starts[-1], v_s, delta_s, A, B_s)
            y_s.copy_(_rows(C_s, h[1:]))
            starts.append(h[-1].clone())
        ctx.save_for_backward(v, delta, B, C, A, *starts[:-1])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, ...]:
        """The chain rule, from the last tile to the first; exp(Δ_t A) depends on Δ_t A =: e_t."""
        v, delta, B, C, A, *starts = ctx.saved_tensors
        grads = [torch.empty_like(x) for x in (v, delta, B, C)]
        tile = _Tile(v, A)
        carry, grad_A = torch.zeros_like(starts[0]), torch.zeros_like(starts[0])  # (B, N, E)
        spans = tile.spans(v, delta, B, C, grad_y, *grads)
        for start, span in zip(reversed(starts), reversed(spans), strict=True):
            v_s, delta_s, B_s, C_s, grad_y_s, grad_v, grad_delta, grad_B, grad_C = span
            decay, h = tile.states(start, v_s, delta_s, A, B_s)
            grad_C.copy_(_rows(grad_y_s, h[1:].mT))
            grad_h = tile.state_gradients(carry, decay, C_s, grad_y_s)
            grad_v.copy_(_rows(B_s, grad_h))
            grad_B.copy_(_rows(v_s, grad_h.mT))
            carry.copy_(decay.mul_(grad_h)[0])
            grad_e = decay.mul_(h[:-1])  # (S, B, N, E)
            for grad_e_t, delta_t in zip(grad_e, delta_s, strict=True):
                grad_A.addcmul_(grad_e_t, delta_t[:, None])
            torch.sum(grad_e.mul_(A), 2, out=grad_delta)
        return *grads, grad_A.sum(0)


class _Tile:
    """Room for the numbers of S steps, used again for every tile; the last may have fewer."""

    def __init__(self, v: Tensor, A: Tensor):
        per_step = (v.shape[1], *A.shape)  # (B, N, E)
        self.n_steps = min(len(v), max(1, _TILE // math.prod(per_step)))  # S
        self.h = v.new_empty(self.n_steps + 1, *per_step)
        self._decay, self._grad_h = (v.new_empty(self.n_steps, *per_step) for _ in range(2))

    def spans(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """Views of each (F, …) sequence, a tuple for every tile."""
        return list(zip(*(sequence.split(self.n_steps) for sequence in sequences), strict=True))

    def states(self, start: Tensor, v: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        """The decays (S, B, N, E) and the states (S + 1, B, N, E), ``start`` (B, N, E) the first of them."""
        decay, h = self._decay[: len(v)], self.h[: len(v) + 1]
        torch.mul(delta[:, :, None], A * _LOG2_E, out=decay).exp2_()  # faster than exp, above all near underflow
        torch.mul(B[..., None], v[:, :, None], out=h[1:])
        h[0] = start
        for decay_t, before, after in zip(decay, h[:-1], h[1:], strict=True):
            after.addcmul_(decay_t, before)
        return decay, h

    def state_gradients(self, carry: Tensor, decay: Tensor, C: Tensor, grad_y: Tensor) -> Tensor:
        """(S, B, N, E): step t has C_t grad_y_t + exp(Δ_{t+1} A) times that of step t + 1.

        ``carry`` (B, N, E) is the second part for the last step, from the tile after this one.
        """
        grad_h = torch.mul(C[..., None], grad_y[:, :, None], out=self._grad_h[: len(decay)])
        grad_h[-1] += carry
        for t in reversed(range(len(decay) - 1)):
            grad_h[t].addcmul_(decay[t + 1], grad_h[t + 1])
        return grad_h


def _rows(weights: Tensor, matrices: Tensor) -> Tensor:
    """The weighted sum of each matrix's rows: (S, B, R), (S, B, R, Q) -> (S, B, Q)."""
    with torch.autocast(weights.device.type, enabled=False):
        return (weights[:, :, None] @ matrices)[:, :, 0]


def check_backend(backend: str) -> None:
    """Raises: UserError for a backend that is not known, or whose kernels are not installed."""
    if backend not in BACKENDS:
        raise UserError(f"model.net.backend={backend} is not known: use {', '.join(BACKENDS)}")
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
    """Say it once, not at every call."""
    log.info("the selective scan is done by %s, on the %s", path, device)


@cache
def _kernels() -> Callable[..., Tensor] | None:
    """mamba_ssm's scan; None where it cannot be imported. Importing takes long: ask only when it would be used."""
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
    """As `selective_scan`. The kernels want time last, what varies in time in one format, the rest in 32 bits."""
    kernels = _kernels()
    assert kernels is not None
    u, delta, B, C, z = (x.to(u.dtype).permute(1, 2, 0).contiguous() for x in (u, delta, B, C, z))  # (B, …, F)
    A, D, delta_bias = (x.float() for x in (A, D, delta_bias))
    y = kernels(u, delta, A, B, C, D, z=z, delta_bias=delta_bias, delta_softplus=True)  # (B, E, F)
    return y.permute(2, 0, 1)
