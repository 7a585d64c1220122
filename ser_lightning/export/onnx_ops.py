"""Translate `custom_ops` to ONNX; needs onnxscript.

F: frames.  B, C, in a shape: clips, channels.  E: states of each channel.  U: units each way of a GRU.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from onnxscript import FLOAT, graph, script
from onnxscript import opset18 as op

from ser_lightning.export import custom_ops  # registers them

_Cube: TypeAlias = FLOAT[None, None, None]  # of any size
_Square: TypeAlias = FLOAT[None, None]

OPSET = 18
_INT32 = 6  # in ONNX
assert custom_ops


def _bidirectional_gru(
    x: Any, lengths: Any, inputs: Any, recurrent: Any, input_bias: Any, recurrent_bias: Any
) -> Any:
    """Translate one GRU: the number of units is an attribute, so this is run for each."""
    bias = op.Concat(input_bias, recurrent_bias, axis=1)  # (2, 6U)
    y, _ = op.GRU(
        x,
        inputs,
        recurrent,
        bias,
        op.Cast(lengths, to=_INT32),
        hidden_size=recurrent.shape[2],
        direction="bidirectional",
        linear_before_reset=1,
    )
    return y


@script(default_opset=op)
def _recurrence(v: _Cube, delta: _Cube, B: _Cube, C: _Cube, A: _Square) -> _Cube:
    first = op.Constant(value_ints=[1])
    last = op.Constant(value_ints=[2])
    shape = op.Concat(op.Shape(v, start=1, end=2), op.Shape(A), axis=0)
    start = op.Expand(op.Constant(value_float=0.0), shape)  # (B, E, C)

    @graph()
    def step(h, v_t, delta_t, B_t, C_t):  # type: ignore[no-untyped-def]  # types would be taken for shapes
        decay = op.Exp(op.Mul(op.Unsqueeze(delta_t, first), A))
        driven = op.Mul(op.Unsqueeze(B_t, last), op.Unsqueeze(v_t, first))
        after = op.Add(op.Mul(decay, h), driven)
        return after, op.Squeeze(op.MatMul(op.Unsqueeze(C_t, first), after), first)

    _, y = op.Scan(start, v, delta, B, C, body=step, num_scan_inputs=4)
    return y


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.ser_lightning.bidirectional_gru.default: _bidirectional_gru,
    torch.ops.ser_lightning.recurrence.default: _recurrence,
}
