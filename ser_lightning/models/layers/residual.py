"""The convolutions of a residual network, made so that padding never reaches a clip.

B: clips.  C: channels.  M: mel bins.  F: frames.
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import clear_padding, relu_within, strided
from ser_lightning.utils.errors import UserError


class ResidualStack(nn.Module):
    """Stem and stages of basic blocks: (B, M, F) -> (B, C, M / n, F / n), rounded up, with n = 32 by default.

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, arXiv 1512.03385, table 1,
    with one input channel. What every convolution is given is zero beyond a clip's end, as if the clip were alone.

    Args:
        channels: of each stage's output.
        blocks: of each stage.
        stem_kernel: side of the first convolution, which has stride 2; odd.
        stem_pool: whether a 3×3 maximum of stride 2 follows it.
        time_strides: of each stage; by default what the mel axis has, 1 in the first stage and 2 in the others.

    Raises: UserError where these are not of as many stages, or the kernel has no middle.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        stem_kernel: int = 7,
        stem_pool: bool = True,
        time_strides: Sequence[int] | None = None,
    ):
        super().__init__()
        mel_strides = [1] + [2] * (len(channels) - 1)
        time_strides = mel_strides if time_strides is None else time_strides
        if not len(channels) == len(blocks) == len(time_strides):
            by_stage = f"channels={list(channels)}, blocks={list(blocks)} and time_strides={list(time_strides)}"
            raise UserError(f"model.net: {by_stage} differ in length: give one of each for every stage")
        if stem_kernel % 2 == 0:
            raise UserError(f"model.net.stem_kernel={stem_kernel} is even: it must be odd, to have a middle")
        self.stem = nn.Conv2d(1, channels[0], stem_kernel, stride=2, padding=stem_kernel // 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(channels[0])
        self.stem_pool = stem_pool
        self.blocks = nn.ModuleList()
        n_in = channels[0]
        for number, n_out in enumerate(channels):
            first = (mel_strides[number], time_strides[number])
            for strides in (first, *[(1, 1)] * (blocks[number] - 1)):
                self.blocks.append(BasicBlock(n_in, n_out, strides))
                n_in = n_out
        self._mel_stride = (4 if stem_pool else 2) * math.prod(mel_strides)
        for module in self.modules():  # initialised as in the paper, by He et al., 2015, arXiv 1502.01852
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps, and each clip's length (B,) in their frames."""
        x = self.stem_norm(self.stem(clear_padding(features, lengths)[:, None]))  # (B, C, M / 2, F / 2)
        lengths = strided(lengths, 2)
        x = relu_within(x, lengths)
        if self.stem_pool:  # nothing is below the zeros it sees beyond a clip
            x = functional.max_pool2d(x, 3, stride=2, padding=1)  # (B, C, M / 4, F / 4)
            lengths = strided(lengths, 2)
            x = clear_padding(x, lengths)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return x, lengths

    def n_rows(self, n_mels: int) -> int:
        """Return the number of rows of the output for ``n_mels`` mel bins."""
        return -(-n_mels // self._mel_stride)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around which the input is carried: (B, C, M, F) -> (B, C', M / stride, F / stride)."""

    def __init__(self, n_in: int, n_out: int, strides: tuple[int, int]):
        """``strides``: of the first convolution, over mel rows and over frames."""
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, strides, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out or strides != (1, 1):
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, strides, bias=False), nn.BatchNorm2d(n_out))
        self._time_stride = strides[1]

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps and their lengths; they are zero beyond each clip's length, as ``x`` must be."""
        lengths = strided(lengths, self._time_stride)
        y = relu_within(self.norm1(self.conv1(x)), lengths)
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return relu_within(y, lengths), lengths
