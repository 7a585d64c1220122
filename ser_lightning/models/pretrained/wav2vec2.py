"""wav2vec 2.0, HuBERT, WavLM and data2vec: convolutions over the waveform, then Transformer layers.

B: clips.  T: samples of the longest clip.  L: layers, what goes into the first one counted as one.
F: frames of the longest clip.  D: width.  C: channels of the convolutions.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import clear_padding, frame_mask

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")
_EPS = 1e-7  # of transformers' own standardisation


class Wav2Vec2Encoder(nn.Module):
    """Return the states of every layer for each clip, the same as without the rest of its batch.

    Two things of these models would let padding into a clip, and are mended: where the first convolution has a
    group norm, its statistics are those of the clip's own frames; and the convolutions that make positions, of
    which data2vec stacks several, read zeros beyond the clip's end. Attention is masked, in all of them.

    Baevski et al., 2020 (arXiv 2006.11477); Hsu et al., 2021 (2106.07447); Chen et al., 2021 (2110.13900); Baevski
    et al., 2022 (2202.03555).

    Args:
        model: the model of transformers, without dropped layers or masks of its own.
        standardise: whether waveforms are brought to mean 0 and variance 1 first, as its preprocessor says.
    """

    def __init__(self, model: Any, *, standardise: bool):
        super().__init__()
        self.model = model
        self.n_layers = model.config.num_hidden_layers + 1
        self.width = model.config.hidden_size
        self.standardise = standardise
        self._steps = list(zip(model.config.conv_kernel, model.config.conv_stride, strict=True))
        self.shortest = 1  # samples that one frame needs
        for kernel, stride in reversed(self._steps):
            self.shortest = (self.shortest - 1) * stride + kernel
        self._frames = torch.empty(0, dtype=torch.long)
        first = model.feature_extractor.conv_layers[0]
        self.norm: Any = None
        if isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            self.norm = first.layer_norm = OwnFramesNorm(first.layer_norm)
        for module in model.encoder.pos_conv_embed.modules():
            if isinstance(module, nn.Conv1d):
                module.register_forward_pre_hook(self._clear)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T) float, zero beyond ``lengths`` (B,) to ((B, L, F, D), frames (B,)), at least one a clip."""
        samples = waveform[:, : int(lengths.max())]
        samples = standardised(samples, lengths) if self.standardise else samples
        samples = functional.pad(samples, (0, max(0, self.shortest - samples.shape[1])))
        return self.states(samples, lengths.clamp_min(self.shortest))

    def states(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map standardised samples (B, T), at least `shortest` of each clip, to ((B, L, F, D), frames (B,))."""
        self._frames = self.frames(lengths)
        if self.norm is not None:
            self.norm.frames = _after(lengths, *self._steps[0])
        mask = frame_mask(lengths, samples.shape[1]).long()
        output = self.model(samples, attention_mask=mask, output_hidden_states=True)
        # the last of hidden_states is before or after the last norm, as the version of transformers has it
        states = torch.stack([*output.hidden_states[:-1], output.last_hidden_state], 1)  # (B, L, F, D)
        assert states.shape[1] == self.n_layers
        return states, self._frames

    def frames(self, lengths: Tensor) -> Tensor:
        """Return the number of frames of clips of so many samples."""
        lengths = lengths.clamp_min(self.shortest)
        for kernel, stride in self._steps:
            lengths = _after(lengths, kernel, stride)
        return lengths

    def depth(self, parameter: str) -> int:
        """Return the layer, from 1, that holds the parameter of that name; 0 for what lies before the first."""
        layer = _LAYER.search(parameter)
        if layer:
            return int(layer[1]) + 1
        on_top = getattr(self.model.config, "do_stable_layer_norm", False)  # where the norm is the last thing
        return self.n_layers - 1 if on_top and "encoder.layer_norm." in parameter else 0

    def freeze_feature_encoder(self) -> None:
        """Exclude the convolutions over the waveform from training."""
        self.model.feature_extractor._freeze_parameters()

    def keep_no_activations(self) -> None:
        """Switch on gradient checkpointing: layers are computed twice rather than kept in memory."""
        self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def _clear(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Zero what goes into a convolution, (B, D, F), beyond each clip's end."""
        return (clear_padding(inputs[0], self._frames), *inputs[1:])


class OwnFramesNorm(nn.Module):
    """A group norm over the own frames of each clip: (B, C, F) -> (B, C, F), zero beyond them.

    ``frames`` says how many those are, and is set before each pass.
    """

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.n_groups, self.eps = norm.num_groups, norm.eps
        self.frames = torch.empty(0, dtype=torch.long)

    def forward(self, x: Tensor) -> Tensor:
        clips = [
            functional.group_norm(clip[None, :, :n_frames], self.n_groups, self.weight, self.bias, self.eps)
            for clip, n_frames in zip(x, self.frames.tolist(), strict=True)
        ]
        return torch.cat([functional.pad(clip, (0, x.shape[-1] - clip.shape[-1])) for clip in clips])


def standardised(waveform: Tensor, lengths: Tensor) -> Tensor:
    """Bring each clip's own samples to mean 0 and variance 1; padding stays 0."""
    count = lengths[:, None]
    centred = clear_padding(waveform - waveform.sum(1, keepdim=True) / count, lengths)
    return centred / (centred.square().sum(1, keepdim=True) / count + _EPS).sqrt()


def _after(lengths: Tensor, kernel: int, stride: int) -> Tensor:
    """Return lengths after a convolution without padding."""
    return torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
