"""Corrects strided convolutions where a short clip leaves a map of one column, which torch gets wrong on some CPUs.

B: clips.  C: channels.  H: rows.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def correct_single_columns(net: nn.Module) -> None:
    """Make every strided convolution of a network right also where what it returns is a single column.

    There oneDNN's bf16 kernels for AMX give garbage, NaN among it, in outputs and gradients (torch 2.11). Of 30,000
    convolutions, matrix products and attentions of random shapes it was these alone. With stride 1 over the columns
    they are right, and the first column is the same.
    """
    for module in net.modules():
        if type(module) is not nn.Conv1d and type(module) is not nn.Conv2d:
            continue  # also what is derived from these, which may compute otherwise
        if module.stride[-1] > 1 and module.padding_mode == "zeros":
            module.register_forward_hook(_corrected, with_kwargs=True)


def _corrected(
    conv: nn.Conv1d | nn.Conv2d, inputs: tuple[Tensor, ...], named: dict[str, Tensor], output: Tensor
) -> Tensor | None:
    """Return (B, C, 1) or (B, C, H, 1) anew where ``output`` is of one column; None keeps what was computed."""
    if torch.compiler.is_exporting() or output.shape[-1] > 1:  # an export must not depend on the example's length
        return None
    convolve = functional.conv2d if isinstance(conv, nn.Conv2d) else functional.conv1d
    by_one = (*conv.stride[:-1], 1)
    (x,) = (*inputs, *named.values())
    columns = convolve(x, conv.weight, conv.bias, by_one, conv.padding, conv.dilation, conv.groups)
    return columns[..., :1]
