"""Define two operators that a graph keeps as they are, where PyTorch would unroll time; slow, and easy to read.

`onnx_ops` says what they are in ONNX.

F: frames.  B, C, in a shape: clips, channels.  E: states of each channel.  U: units each way of a GRU.
"""

import torch
from torch import Tensor
from torch.nn import functional


@torch.library.custom_op("ser_lightning::bidirectional_gru", mutates_args=())
def bidirectional_gru(
    x: Tensor, lengths: Tensor, inputs: Tensor, recurrent: Tensor, input_bias: Tensor, recurrent_bias: Tensor
) -> Tensor:
    """Run a GRU over each clip both ways: x (F, B, C), lengths (B,) -> (F, 2, B, U), zero beyond a clip's length.

    Cho et al., 2014, arXiv 1406.1078, the reset gate on the recurrent product, as in PyTorch.

    Args:
        inputs, recurrent: weights (2, 3U, C) and (2, 3U, U), of the update gate, the reset gate and the candidate,
            forwards and backwards.
        input_bias, recurrent_bias: (2, 3U).
    """
    n_frames, n_clips, _ = x.shape
    y = x.new_zeros(n_frames, 2, n_clips, recurrent.shape[2])
    for way, frames in enumerate((range(n_frames), range(n_frames - 1, -1, -1))):
        state = x.new_zeros(n_clips, recurrent.shape[2])
        for frame in frames:
            from_input = functional.linear(x[frame], inputs[way], input_bias[way]).chunk(3, 1)
            from_state = functional.linear(state, recurrent[way], recurrent_bias[way]).chunk(3, 1)
            update, reset = ((a + b).sigmoid() for a, b in zip(from_input[:2], from_state[:2], strict=True))
            candidate = (from_input[2] + reset * from_state[2]).tanh()
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
    """Compute h_t = exp(Δ_t A) h_{t-1} + B_t v_t and y_t = C_t · h_t.

    v, Δ (F, B, C), B and C (F, B, E), A (E, C) -> y (F, B, C), as `models.layers.scan_cpu.Recurrence`.
    """
    state = v.new_zeros(v.shape[1], *A.shape)  # (B, E, C)
    y = torch.empty_like(v)
    for frame in range(v.shape[0]):
        decay = (delta[frame, :, None] * A).exp()
        state = decay * state + B[frame, :, :, None] * v[frame, :, None]
        y[frame] = (C[frame, :, :, None] * state).sum(1)
    return y


@recurrence.register_fake
def _(v: Tensor, delta: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
    return torch.empty_like(v)
