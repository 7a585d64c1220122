"""The recurrence inside the selective scan, fast on a CPU: plain PyTorch with a backward of its own.

F: frames.  P: steps of a tile.  B, C, in a shape: clips, channels.  E: states of each channel.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_T = TypeVar("_T")
_LOG2_E = 1 / math.log(2)
_TILE = 2**20  # numbers of a tile: few enough to stay in a CPU's cache, many enough to outweigh the calls
_MIN_STEPS = 4  # of a tile, however large the batch: one state in so many is kept for backward


class Recurrence(torch.autograd.Function):
    """h_t = exp(Δ_t A) h_{t-1} + B_t v_t and y_t = C_t · h_t, for some of the clips and a tile of steps at a time.

    Forward keeps the state before each tile only; backward makes those in between once more. A state is (B, E, C),
    so that whatever is spread over E, or summed over it or over C, goes along rows of C.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
        """Return y (F, B, C) of v and Δ (F, B, C), B and C (F, B, E), A (E, C)."""
        plan = ctx.plan = _plan(v, A)
        y = torch.empty_like(v)
        starts = v.new_empty(-(-len(v) // plan.n_steps), v.shape[1], *A.shape)  # (F / P, B, E, C)
        starts[0] = 0
        _for_clips(plan, lambda *given: _forward(A, plan.n_steps, *given), v, delta, B, C, starts, y)
        ctx.save_for_backward(v, delta, B, C, A, starts)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, ...]:
        """Turn the gradient of y (F, B, C) into those of v, Δ, B, C and A."""
        plan = ctx.plan
        v, delta, B, C, A, starts = ctx.saved_tensors
        grads = [torch.empty_like(x) for x in (v, delta, B, C)]
        given = (v, delta, B, C, starts, grad_y, *grads)
        grads_A = _for_clips(plan, lambda *given: _backward(A, plan.n_steps, *given), *given)
        return *grads, torch.stack(grads_A).sum(0)


def _forward(
    A: Tensor, n_steps: int, v: Tensor, delta: Tensor, B: Tensor, C: Tensor, starts: Tensor, y: Tensor
) -> None:
    """Fill ``y`` and the states before each tile, of which the first is given."""
    tile = _Tile(A, n_steps, v)
    for number, (v_s, delta_s, B_s, C_s, y_s) in enumerate(tile.spans(v, delta, B, C, y)):
        _, h = tile.states(starts[number], v_s, delta_s, B_s)
        y_s.copy_(_rows(C_s, h[1:]))
        if number + 1 < len(starts):
            starts[number + 1] = h[-1]


def _backward(
    A: Tensor, n_steps: int, v: Tensor, delta: Tensor, B: Tensor, C: Tensor, starts: Tensor, *grads: Tensor
) -> Tensor:
    """Fill the gradients of v, Δ, B and C from that of y, and return that of A; e_t stands for Δ_t A."""
    tile = _Tile(A, n_steps, v)
    carry, grad_A = torch.zeros_like(starts[0]), torch.zeros_like(A)  # (B, E, C), (E, C)
    spans = tile.spans(v, delta, B, C, *grads)
    for start, span in zip(starts.unbind()[::-1], spans[::-1], strict=True):
        v_s, delta_s, B_s, C_s, grad_y, grad_v, grad_delta, grad_B, grad_C = span
        decay, h = tile.states(start, v_s, delta_s, B_s)
        grad_C.copy_(_rows(grad_y, h[1:].mT))
        grad_h = tile.state_gradients(carry, decay, C_s, grad_y)
        grad_v.copy_(_rows(B_s, grad_h))
        grad_B.copy_(_rows(v_s, grad_h.mT))
        carry.copy_(decay.mul_(grad_h)[0])
        grad_e = decay.mul_(h[:-1])  # (P, B, E, C)
        grad_A += torch.mul(grad_e, delta_s[:, :, None], out=grad_h).sum((0, 1))
        grad_delta.copy_(grad_e.mul_(A).sum(2))
    return grad_A


class _Tile:
    """Room for the numbers of P steps, used again for every tile; the last may have fewer."""

    def __init__(self, A: Tensor, n_steps: int, v: Tensor):
        self._A = A * _LOG2_E  # exp(x) = 2^(x log2 e), which is faster, above all near underflow
        self._n_steps = n_steps
        per_step = (v.shape[1], *A.shape)  # (B, E, C)
        self._h = v.new_empty(n_steps + 1, *per_step)
        self._decay, self._grad_h = (v.new_empty(n_steps, *per_step) for _ in range(2))

    def spans(self, *sequences: Tensor) -> list[tuple[Tensor, ...]]:
        """Return views of each (F, …) sequence, a tuple for every tile."""
        return list(zip(*(sequence.split(self._n_steps) for sequence in sequences), strict=True))

    def states(self, start: Tensor, v: Tensor, delta: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
        """Compute decays (P, B, E, C) and states (P + 1, B, E, C), ``start`` (B, E, C) being the first of them."""
        decay, h = self._decay[: len(v)], self._h[: len(v) + 1]
        torch.mul(delta[:, :, None], self._A, out=decay).exp2_()
        torch.mul(B[..., None], v[:, :, None], out=h[1:])
        h[0] = start
        for decay_t, before, after in zip(decay, h[:-1], h[1:], strict=True):
            after.addcmul_(decay_t, before)
        return decay, h

    def state_gradients(self, carry: Tensor, decay: Tensor, C: Tensor, grad_y: Tensor) -> Tensor:
        """Return (P, B, E, C): step t has C_t grad_y_t + exp(Δ_{t+1} A) times that of step t + 1.

        ``carry`` (B, E, C) is the second part for the last step, from the tile after this one.
        """
        grad_h = torch.mul(C[..., None], grad_y[:, :, None], out=self._grad_h[: len(decay)])
        grad_h[-1] += carry
        steps = [*zip(grad_h[:-1], decay[1:], grad_h[1:], strict=True)]
        for grad_t, decay_after, grad_after in reversed(steps):
            grad_t.addcmul_(decay_after, grad_after)
        return grad_h


def _rows(weights: Tensor, matrices: Tensor) -> Tensor:
    """Return the weighted sum of each matrix's rows: (P, B, rows), (P, B, rows, columns) -> (P, B, columns)."""
    return (weights[:, :, None] @ matrices)[:, :, 0]


class _Plan(NamedTuple):
    """How many threads of our own there are, and how many clips and steps make a tile."""

    n_threads: int
    n_clips: int
    n_steps: int


def _plan(v: Tensor, A: Tensor) -> _Plan:
    n_frames, n_clips, _ = v.shape
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # a tracer sees its own thread alone
    alone = traced or v.device.type != "cpu" or n_frames * n_clips * A.numel() < _TILE
    n_threads = 1 if alone else torch.get_num_threads()
    n_clips = min(-(-n_clips // n_threads), max(1, _TILE // (_MIN_STEPS * A.numel())))
    return _Plan(n_threads, n_clips, min(n_frames, max(1, _TILE // (n_clips * A.numel()))))


def _for_clips(plan: _Plan, action: Callable[..., _T], *sequences: Tensor) -> list[_T]:
    """Run ``action`` on a few clips at a time of every (…, B, …) sequence, in threads of our own.

    PyTorch's threads would wait for each other after each of some thousand operations. That costs little where the
    machine is idle; where others use it too, nearly all of the time goes into it.
    """
    parts = [*zip(*(sequence.split(plan.n_clips, 1) for sequence in sequences), strict=True)]
    if plan.n_threads == 1 or len(parts) == 1:
        with torch.autocast(sequences[0].device.type, enabled=False):
            return [action(*part) for part in parts]
    inference = torch.is_inference_mode_enabled()

    def in_thread(part: tuple[Tensor, ...]) -> _T:
        with torch.inference_mode(inference), torch.no_grad():  # a thread has no modes but those it is given
            return action(*part)

    return [*_threads(plan.n_threads, os.getpid()).map(in_thread, parts)]


@cache
def _threads(number: int, process: int) -> ThreadPoolExecutor:
    """Start threads of ``process`` in which PyTorch's operations do not spread over further ones."""
    begun = Barrier(number + 1)

    def begin() -> None:
        torch.set_num_threads(1)  # of this thread, and what threads yet to come begin with
        begun.wait()

    threads = ThreadPoolExecutor(number, "recurrence", initializer=begin)
    for _ in range(number):
        threads.submit(int)
    begun.wait()
    torch.set_num_threads(number)  # what threads yet to come begin with, as it was
    return threads
