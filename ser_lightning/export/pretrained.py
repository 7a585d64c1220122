"""Make pretrained models exportable: in a graph every size follows from the shape of a batch, not from its numbers.

B: clips.  T: samples of the longest clip.  W: windows of it.  U: windows of all clips.  P: positions of a window.
L: layers, what goes into the first one counted as one.  F: frames.  C: channels.  G: groups of them.  D: width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.export.frontend import windowed_waves
from ser_lightning.models.layers.masking import frame_mask
from ser_lightning.models.pretrained.backbone import Backbone
from ser_lightning.models.pretrained.wav2vec2 import OwnFramesNorm, Wav2Vec2Encoder, standardised
from ser_lightning.models.pretrained.whisper import SILENT_POSITIONS, WhisperEncoder


class ExportableBackbone(nn.Module):
    """Replaces a `Backbone`, and takes its parts over: adapters are merged, and the encoder is part of this module.

    Its outputs may have more frames than the longest clip: the second of them says how many are a clip's own.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        backbone.merge_adapters()
        encoder = backbone.encoder
        self.encoder = (
            ExportableWhisper(encoder) if isinstance(encoder, WhisperEncoder) else ExportableWav2Vec2(encoder)
        )
        self._reduced = backbone.reduced

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T), (B,) samples to (B, L, F, D), (B,) frames."""
        return self._reduced(*self.encoder(waveform, lengths))


class ExportableWhisper(WhisperEncoder):
    """Replaces a `WhisperEncoder`: clips have as many windows as the longest, spectra come from convolutions."""

    def __init__(self, encoder: WhisperEncoder):
        super().__init__(
            encoder.model,
            mel_filters=encoder.filters.numpy(),
            n_fft=encoder.n_fft,
            hop_samples=encoder.hop_samples,
            context=encoder.context,
        )
        self.kernel: Tensor
        self.register_buffer("kernel", windowed_waves(self.window, self.n_fft)[:, None], persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T) float, zero beyond ``lengths`` (B,) to ((B, L, W · P, D), frames (B,))."""
        n_samples, n_positions = waveform.shape[1], self._n_positions
        n_windows = (n_samples + self._window_samples - 1) // self._window_samples
        if self.context == "clip":  # a window is as long as the clip where there is but one
            needed = (n_samples + self._frame_samples - 1) // self._frame_samples + SILENT_POSITIONS
            n_positions = torch.sym_min(needed, n_positions)
        padded = functional.pad(waveform, (0, n_windows * self._window_samples - n_samples))
        windows = padded.unflatten(1, (n_windows, self._window_samples))[:, :, : n_positions * self._frame_samples]
        begin = torch.arange(n_windows, device=lengths.device) * self._window_samples
        held = (lengths[:, None] - begin).clamp_min(1)  # (B, W): attention must not be over nothing
        states = self._layers(self._log_mel(windows.flatten(0, 1)), self._positions(held.flatten()), None)
        return states.unflatten(0, (-1, n_windows)).transpose(1, 2).flatten(2, 3), self.frames(lengths)

    def _power(self, windows: Tensor) -> Tensor:
        half = self.n_fft // 2
        padded = functional.pad(windows[:, None], (half, half), mode="reflect")
        squares = functional.conv1d(padded, self.kernel, stride=self.hop_samples).square()  # (U, n_fft + 2, 2P + 1)
        return squares.unflatten(1, (-1, 2)).sum(2)[..., :-1]


class ExportableWav2Vec2(nn.Module):
    """Replaces a `Wav2Vec2Encoder`, and takes its parts over."""

    def __init__(self, encoder: Wav2Vec2Encoder):
        super().__init__()
        self.encoder = encoder
        if encoder.norm is not None:
            masked = MaskedGroupNorm(encoder.norm)
            encoder.norm = encoder.model.feature_extractor.conv_layers[0].layer_norm = masked

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T) float, zero beyond ``lengths`` (B,) to ((B, L, F, D), frames (B,)), at least one a clip."""
        samples = standardised(waveform, lengths) if self.encoder.standardise else waveform
        samples = functional.pad(samples, (0, self.encoder.shortest))  # enough for the shortest batch
        return self.encoder.states(samples, lengths.clamp_min(self.encoder.shortest))


class MaskedGroupNorm(nn.Module):
    """Replaces an `OwnFramesNorm`, all clips at once: (B, C, F) -> (B, C, F)."""

    def __init__(self, norm: OwnFramesNorm):
        super().__init__()
        self.weight, self.bias, self.eps, self.n_groups = norm.weight, norm.bias, norm.eps, norm.n_groups
        self.frames = norm.frames

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, F) to the same shape, zero beyond each clip's frames."""
        mask = frame_mask(self.frames, x.shape[-1])[:, None, None]  # (B, 1, 1, F)
        groups = x.unflatten(1, (self.n_groups, -1))  # (B, G, C / G, F)
        count = (self.frames * groups.shape[2])[:, None, None, None]
        centred = (groups - (groups * mask).sum((2, 3), keepdim=True) / count) * mask
        variance = centred.square().sum((2, 3), keepdim=True) / count
        normalised = (centred / (variance + self.eps).sqrt()).flatten(1, 2)
        return (normalised * self.weight[:, None] + self.bias[:, None]) * mask[:, 0]
