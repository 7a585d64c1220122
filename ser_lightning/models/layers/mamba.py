"""Mamba blocks, one way or both ways along each clip.

Gu and Dao, "Mamba: linear-time sequence modeling with selective state spaces", 2023, arXiv 2312.00752, figure 3.

F: frames.  B, C, in a shape: clips, channels inside a block.  D: width of the model.  E: states of each channel.
P: rank of Δ.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ser_lightning.models.layers.selective_scan import check_backend, selective_scan


class Mamba(nn.Module):
    """One block, causal: (F, B, D) -> (F, B, D).

    Its parameters have the names and shapes of mamba_ssm's `Mamba`: a state_dict of either loads into the other.

    Args:
        d_model: D.
        d_state: E.
        d_conv: frames that the convolution sees.
        expand: C / D.
        backend: of the scan, see `selective_scan`.
    """

    def __init__(self, *, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2, backend: str = "auto"):
        super().__init__()
        check_backend(backend)
        self._backend = backend
        n_inner = expand * d_model  # C
        rank = math.ceil(d_model / 16)  # P
        self._parts = [rank, d_state, d_state]
        self.in_proj = nn.Linear(d_model, 2 * n_inner, bias=False)
        self.conv1d = nn.Conv1d(n_inner, n_inner, d_conv, groups=n_inner)
        self.x_proj = nn.Linear(n_inner, sum(self._parts), bias=False)
        self.dt_proj = nn.Linear(rank, n_inner)
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(n_inner, 1))  # (C, E)
        self.D = nn.Parameter(torch.ones(n_inner))
        self.out_proj = nn.Linear(n_inner, d_model, bias=False)
        # each channel's first Δ lies between 0.001 and 0.1, evenly in its logarithm (section 3.6)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        delta = torch.empty(n_inner).uniform_(math.log(0.001), math.log(0.1)).exp()
        with torch.no_grad():
            self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # the inverse of softplus

    def forward(self, x: Tensor) -> Tensor:
        """Map (F, B, D) to (F, B, D)."""
        u, z = self.in_proj(x).chunk(2, dim=-1)  # (F, B, C) each
        u = functional.silu(causal_convolution(u, self.conv1d))
        low_rank, B, C = self.x_proj(u).split(self._parts, dim=-1)  # (F, B, P), (F, B, E) twice
        delta = functional.linear(low_rank, self.dt_proj.weight)  # (F, B, C)
        y = selective_scan(u, delta, -self.A_log.exp(), B, C, self.D, z, self.dt_proj.bias, backend=self._backend)
        return self.out_proj(y)


class MambaStack(nn.Module):
    """Mamba blocks, each normed before and added to what came in: (B, F, D) -> (B, F, D).

    Both ways, a layer has a second block that reads each clip from its own last frame to its first, and the two are
    averaged: width and scale stay those of one way. Padding comes after a clip either way, and blocks are causal:
    no frame depends on it.

    Args:
        n_layers: with one block each, two if ``bidirectional``.
        dropout: of what a layer adds.
        others: see `Mamba`.
    """

    def __init__(
        self, *, n_layers: int, d_model: int, bidirectional: bool = True, dropout: float = 0.0, **block: Any
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            _Layer(d_model, both_ways=bidirectional, dropout=dropout, block=block) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, F, D) and lengths (B,) in frames to (B, F, D)."""
        order = reversal(lengths, x.shape[1])
        x = x.transpose(0, 1)  # (F, B, D)
        for layer in self.layers:
            x = layer(x, order)
        return self.norm(x).transpose(0, 1)


class _Layer(nn.Module):
    def __init__(self, d_model: int, *, both_ways: bool, dropout: float, block: dict[str, Any]):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.forwards = Mamba(d_model=d_model, **block)
        self.backwards = Mamba(d_model=d_model, **block) if both_ways else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, order: Tensor) -> Tensor:
        """Map (F, B, D), (F · B,) to (F, B, D)."""
        normed = self.norm(x)
        mixed = self.forwards(normed)
        if self.backwards is not None:
            mixed = (mixed + reordered(self.backwards(reordered(normed, order)), order)) / 2
        return x + self.dropout(mixed)


def reversal(lengths: Tensor, n_frames: int) -> Tensor:
    """Return the order (F · B,) for `reordered` that reverses each clip within its length (B,)."""
    frame = torch.arange(n_frames, device=lengths.device)[:, None]  # (F, 1)
    source = torch.where(frame < lengths, lengths - 1 - frame, frame)  # (F, B)
    return (source * lengths.shape[0] + torch.arange(lengths.shape[0], device=lengths.device)).flatten()


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """Return ``x`` (F, B, …) with its F · B vectors in another order."""
    return x.flatten(0, 1).index_select(0, order).view_as(x)


def causal_convolution(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """Apply the depthwise ``conv`` to ``x`` (F, B, C) with zeros before its first frame, faster on a CPU."""
    return _CausalConvolution.apply(x, conv.weight[:, 0].t().contiguous(), conv.bias)


class _CausalConvolution(torch.autograd.Function):
    """y_t = b + Σ_k w_k x_{t - k} for x (F, B, C), w (taps, C), the last tap for the present, and b (C,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        y = bias.repeat(*x.shape[:2], 1)
        for past, tap in enumerate(weight.flip(0)[: len(x)]):
            y[past:].addcmul_(x[: len(x) - past], tap)
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        grad_x = torch.zeros_like(grad_y, dtype=weight.dtype)
        grad_weight = torch.zeros_like(weight)
        for past, tap in enumerate(weight.flip(0)[: len(x)]):
            grad_x[: len(x) - past].addcmul_(grad_y[past:], tap)
            grad_weight[-1 - past] = (grad_y[past:] * x[: len(x) - past]).sum((0, 1), dtype=weight.dtype)
        return grad_x.to(x.dtype), grad_weight, grad_y.sum((0, 1), dtype=weight.dtype)
