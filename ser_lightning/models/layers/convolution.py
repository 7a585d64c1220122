"""The convolutional front of the notebook's networks, mended so that padding never reaches a clip.

B: clips.  C: channels.  M: mel bins.  F: frames.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import clear_padding, relu_within, strided
from ser_lightning.utils.errors import UserError


class ConvStack(nn.Module):
    """Blocks of convolution, 2×2 maximum, batch norm and ReLU: (B, M, F) -> (B, C, M / 2^n, F / 2^n), rounded up.

    As in the notebook, the second block adds the input itself, carried by a 1×1 convolution of stride 2.
    The input is padded to whole windows, and every block's output is cleared beyond the clip's end: what a clip's
    last window sees is then the same in every batch.
    """

    def __init__(self, channels: Sequence[int]):
        """``channels``: of each block's output; two blocks at least."""
        super().__init__()
        if len(channels) < 2:
            raise UserError(
                f"model.net.channels={list(channels)} is too short: this network has two blocks at least"
            )
        self.convs = nn.ModuleList(
            nn.Conv2d(n_in, n_out, 3, padding=1) for n_in, n_out in zip([1, *channels], channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for n_out in channels)
        self.shortcut = nn.Linear(1, channels[1])
        self.stride = 2 ** len(channels)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps, and each clip's length (B,) in their frames."""
        _, n_mels, n_frames = features.shape
        padding = (0, -n_frames % self.stride, 0, -n_mels % self.stride)
        spectrogram = functional.pad(clear_padding(features, lengths), padding)  # (B, M, F)
        x = spectrogram[:, None]
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = with_shortcut(conv, x, spectrogram, self.shortcut) if number == 1 else conv(x)  # (B, C, M, F)
            lengths = strided(lengths, 2)
            x = relu_within(norm(functional.max_pool2d(x, 2)), lengths)  # (B, C, M / 2, F / 2)
        return x, lengths

    def n_rows(self, n_mels: int) -> int:
        """Return the number of rows of the output for ``n_mels`` mel bins."""
        return -(-n_mels // self.stride)


def with_shortcut(conv: nn.Module, x: Tensor, spectrogram: Tensor, shortcut: nn.Linear) -> Tensor:
    """Add a 1×1 convolution of stride 2 of the spectrogram (B, M, F) to ``conv`` of x (B, C', M / 2, F / 2).

    The latter is done as a matrix product, because convolutions of a single channel are slow on a CPU; and both
    biases are added in one pass.
    """
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None and isinstance(conv.padding, tuple)
    x = functional.conv2d(x, conv.weight, conv.bias + shortcut.bias, padding=conv.padding)
    pixels = spectrogram[:, ::2, ::2, None]  # (B, M / 2, F / 2, 1)
    return x.add_(functional.linear(pixels, shortcut.weight).permute(0, 3, 1, 2))
