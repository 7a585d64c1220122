"""Make networks exportable: layers that loop over frames are swapped for some that call an operator.

F: frames.  B: clips.  C: channels.  D: width of the model.  E: states of each channel.  U: units of a GRU.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.export.custom_ops import bidirectional_gru, recurrence
from ser_lightning.export.pretrained import ExportableBackbone
from ser_lightning.models.layers.gru import BidirectionalGRU
from ser_lightning.models.layers.mamba import Mamba
from ser_lightning.models.pretrained.backbone import Backbone


def exportable(net: nn.Module) -> nn.Module:
    """Return a copy of ``net`` that gives the same output and can be exported; ``net`` stays as it is."""
    copy = deepcopy(net).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _swapped(copy)


def _swapped(module: nn.Module) -> nn.Module:
    """Return what replaces a module, or the module itself with its parts replaced."""
    if isinstance(module, BidirectionalGRU):
        return _GRU(module)
    if isinstance(module, nn.GRU):
        return _WholeGRU(module)
    if isinstance(module, Mamba):
        return _Mamba(module)
    if isinstance(module, Backbone):
        return ExportableBackbone(module)
    for name, child in module.named_children():
        setattr(module, name, _swapped(child))
    return module


class _GRU(nn.Module):
    """Replaces a `BidirectionalGRU`, with the same outputs."""

    def __init__(self, gru: nn.GRU):
        super().__init__()
        assert gru.num_layers == 1 and gru.bidirectional and gru.batch_first and gru.bias, "as all networks have it"
        self.inputs = _both_ways(gru, "weight_ih_l0")  # (2, 3U, C)
        self.recurrent = _both_ways(gru, "weight_hh_l0")  # (2, 3U, U)
        self.input_bias = _both_ways(gru, "bias_ih_l0")  # (2, 3U)
        self.recurrent_bias = _both_ways(gru, "bias_hh_l0")

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, F, C), (B,) to (B, F, 2U)."""
        weights = (self.inputs, self.recurrent, self.input_bias, self.recurrent_bias)
        y = bidirectional_gru(x.transpose(0, 1).contiguous(), lengths, *weights)  # (F, 2, B, U)
        return y.permute(2, 0, 1, 3).flatten(2)


class _WholeGRU(_GRU):
    """Replaces an `nn.GRU` on clips of one length, whose last state is not used."""

    def forward(self, x: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        """Map (B, F, C) to (B, F, 2U)."""
        return super().forward(x, torch.full((x.shape[0],), x.shape[1], device=x.device)), None


def _both_ways(gru: nn.GRU, name: str) -> nn.Parameter:
    """Stack the weights of both directions, the update gate before the reset gate; in PyTorch it is after."""
    ways = (getattr(gru, name + way).chunk(3) for way in ("", "_reverse"))
    ordered = [torch.cat([update, reset, candidate]) for reset, update, candidate in ways]
    return nn.Parameter(torch.stack(ordered), requires_grad=False)


class _Mamba(nn.Module):
    """Replaces a `Mamba` block, with the same outputs."""

    def __init__(self, block: Mamba):
        super().__init__()
        self.block = block
        self.A = nn.Parameter(-block.A_log.exp().t().contiguous(), requires_grad=False)  # (E, C)

    def forward(self, x: Tensor) -> Tensor:
        """Map (F, B, D) to (F, B, D)."""
        block, n_states = self.block, self.A.shape[0]
        u, z = block.in_proj(x).chunk(2, dim=-1)  # (F, B, C) each
        past = (block.conv1d.kernel_size[0] - 1, 0)
        u = functional.silu(block.conv1d(functional.pad(u.permute(1, 2, 0), past)).permute(2, 0, 1))
        low_rank, B, C = block.x_proj(u).split([block.dt_proj.in_features, n_states, n_states], dim=-1)
        delta = functional.softplus(block.dt_proj(low_rank))
        y = recurrence(delta * u, delta, B, C, self.A)
        return block.out_proj((y + block.D * u) * functional.silu(z))
