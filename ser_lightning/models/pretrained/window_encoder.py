"""Whisper's encoder: log-mel spectrograms of windows of 30 s, then Transformer layers.

B: clips.  T: samples of the longest clip.  N: windows of it.  U: windows that hold anything.  M: mel bins.
P: positions of a window.  L: layers, what goes into the first one counted as one.  F: frames of the longest clip.
H: width.
"""

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LAYER = re.compile(r"layers\.(\d+)\.")
_AT_A_TIME = 8  # windows, where nothing is learnt: all layers of 1,500 positions each are in memory


class WindowEncoder(nn.Module):
    """What every layer makes of each clip, in windows padded with silence to 30 s, as in Whisper's training.

    A clip longer than a window is cut into as many as it takes. The encoder attends to the silence too, there is no
    mask in it; only the frames that hold the clip are returned. A short clip costs as much as a whole window.

    Radford et al., 2022 (arXiv 2212.04356).

    Args:
        model: the encoder of transformers' model.
        mel_filters: (n_fft / 2 + 1, M), of its preprocessor.
        n_fft, hop_samples: of its preprocessor.
    """

    def __init__(self, model: Any, *, mel_filters: np.ndarray, n_fft: int, hop_samples: int):
        super().__init__()
        model.embed_positions.requires_grad_(False)  # sinusoids
        self.model = model
        self.n_layers = len(model.layers) + 1
        self.width = model.config.d_model
        self._n_fft = n_fft
        self._hop_samples = hop_samples
        self._n_positions = model.config.max_source_positions
        self._frame_samples = hop_samples * model.conv1.stride[0] * model.conv2.stride[0]
        self._window_samples = self._n_positions * self._frame_samples
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(np.float32(mel_filters)), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) float, zero beyond ``lengths`` (B,) -> ((B, L, F, H), frames (B,))."""
        frames = self.frames(lengths)
        n_frames, n_samples = int(frames.max()), int(lengths.max())
        n_windows = -(-n_samples // self._window_samples)
        whole = functional.pad(waveform[:, :n_samples], (0, n_windows * self._window_samples - n_samples))
        windows = whole.unflatten(1, (n_windows, -1))  # (B, N, samples)
        begin = torch.arange(n_windows, device=lengths.device) * self._window_samples
        used = begin < lengths[:, None]  # (B, N)
        kept = min(n_frames, self._n_positions)
        mel = self._log_mel(windows[used])  # (U, M, 2P)
        at_a_time = len(mel) if torch.is_grad_enabled() else _AT_A_TIME
        states = torch.cat([self._layers(some, kept) for some in mel.split(at_a_time)])  # (U, L, P, H)
        placed = states.new_zeros(*used.shape, *states.shape[1:])  # (B, N, L, P, H)
        placed[used] = states
        return placed.transpose(1, 2).flatten(2, 3)[:, :, :n_frames], frames

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames that hold clips of so many samples."""
        return -(-lengths // self._frame_samples)

    def depth(self, parameter: str) -> int:
        """How many layers the parameter of that name lies up: 0 before the first, 1 in it, and so on."""
        layer = _LAYER.search(parameter)
        if layer:
            return int(layer[1]) + 1
        return self.n_layers - 1 if "layer_norm." in parameter else 0

    def freeze_feature_encoder(self) -> None:
        """Leave the convolutions over the spectrogram as they are."""
        for convolution in (self.model.conv1, self.model.conv2):
            convolution.requires_grad_(False)

    def _layers(self, mel: Tensor, kept: int) -> Tensor:
        """(U, M, 2P) -> (U, L, kept, H), the first positions of each layer."""
        output = self.model(mel, output_hidden_states=True)
        return torch.stack([state[:, :kept] for state in (*output.hidden_states[:-1], output.last_hidden_state)], 1)

    def _log_mel(self, windows: Tensor) -> Tensor:
        """(U, samples) -> (U, M, 2P), as Whisper's preprocessor makes them."""
        with torch.autocast(windows.device.type, enabled=False):
            spectrum = torch.stft(windows, self._n_fft, self._hop_samples, window=self.window, return_complex=True)
            power = spectrum[..., :-1].abs().square()  # (U, n_fft / 2 + 1, 2P)
            decades = (self.filters.T @ power).clamp_min(1e-10).log10()
            loudest = decades.amax((1, 2), keepdim=True)
            return (decades.maximum(loudest - 8) + 4) / 4
