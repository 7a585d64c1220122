"""Two operators that a graph takes whole, where PyTorch would unroll time: as they are written, slow.

`translations` says what they are in ONNX.

F: frames.  B, in a shape: clips.  C: numbers a frame.  H: units each way.  E: channels.  N: states of each.
"""

import torch
from torch import Tensor
from torch.nn import functional


@torch.library.custom_op("ser_lightning::bidirectional_gru", mutates_args=())
def bidirectional_gru(
    x: Tensor, lengths: Tensor, inputs: Tensor, recurrent: Tensor, input_bias: Tensor, recurrent_bias: Tensor
) -> Tensor:
    """A GRU that reads each clip both ways: x (F, B, C), lengths (B,) -> (F, 2, B, H), zero beyond a clip's length.

    Cho et al., 2014, arXiv 1406.1078, the reset gate on the recurrent product, as in PyTorch.

    Args:
        inputs, recurrent: weights (2, 3H, C) and (2, 3H, H), of the update gate, the reset gate and the candidate,
            forwards and backwards.
        input_bias, recurrent_bias: (2, 3H).
    """
    n_frames, n_clips, _ = x.shape
    y = x.new_zeros(n_frames, 2, n_clips, recurrent.shape[2])
    for way, frames in enumerate((range(n_frames), range(n_frames - 1, -1, -1))):
        state = x.new_zeros(n_clips, recurrent.shape[2])
        for frame in frames:
            given = functional.linear(x[frame], inputs[way], input_bias[way]).chunk(3, 1)
            kept = functional.linear(state, recurrent[way], recurrent_bias[way]).chunk(3, 1)
            update, reset = ((a + b).sigmoid() for a, b in zip(given[:2], kept[:2], strict=True))
            candidate = (given[2] + reset * kept[2]).tanh()
            after = (1 - update) * candidate + update * state
            state = torch.where((frame < lengths)[:, None], after, state)
            y[frame, way] = torch.where((frame < lengths)[:, None], after, 0.0)
    return y


@bidirectional_gru.register_fake
def _(
    x: Tensor, lengths: Tensor, inputs: Tensor, recurrent: Tensor, input_bias: Tensor, recurrent_bias: Tensor
) -> Tensor:
    return x.new_empty(x.shape[0], 2, x.shape[1], recurrent.shape[2])


@torch.library.custom_op("ser_lightning::recurrence", mutates_args=())
def recurrence(v: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
    """h_t = exp(Δ_t A) h_{t-1} + B_t v_t and y_t = C_t · h_t.

    v, Δ (F, B, E), B and C (F, B, N), A (N, E) -> y (F, B, E), as `models.layers.recurrence.Recurrence`.
    """
    state = v.new_zeros(v.shape[1], *A.shape)  # (B, N, E)
    y = torch.empty_like(v)
    for frame in range(v.shape[0]):
        decay = (delta[frame, :, None] * A).exp()
        state = decay * state + B[frame, :, :, None] * v[frame, :, None]
        y[frame] = (C[frame, :, :, None] * state).sum(1)
    return y


@recurrence.register_fake
def _(v: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
    return torch.empty_like(v)
