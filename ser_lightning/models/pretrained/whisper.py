"""Whisper's encoder: log-mel spectrograms of windows of at most 30 s, then Transformer layers.

B: clips.  T: samples of the longest clip.  W: windows of it.  U: windows that hold anything.  M: mel bins.
P: positions of the longest window.  L: layers, what goes into the first one counted as one.
F: frames of the longest clip.  H: heads.  D: width.
"""

import re
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from ser_lightning.models.layers.masking import clear_padding, frame_mask
from ser_lightning.utils.errors import check_choice

CONTEXTS = ("clip", "window")
_LAYER = re.compile(r"layers\.(\d+)\.")
_POSITIONS_AT_A_TIME = 12_000  # where nothing is learnt: all layers of so many positions are in memory
_FEW_SCORES = 1 << 24  # of attention: a batch of 32 clips of 5 s
SILENT_POSITIONS = 10  # 0.2 s of silence that follow a clip: training windows mostly ended in silence


class WhisperEncoder(nn.Module):
    """Return the states of every layer for each clip, from windows of at most 30 s, without frames beyond its end.

    With the context "window", each is padded with silence to 30 s, as in Whisper's training, and the encoder
    attends to the silence too: a short clip costs as much as a whole window. With "clip", a window ends 0.2 s after
    its clip, and what its batch adds beyond is masked: a clip costs what it lasts.

    Radford et al., 2022 (arXiv 2212.04356).

    Args:
        model: the encoder of transformers' model.
        mel_filters: (n_fft / 2 + 1, M), of its preprocessor.
        n_fft, hop_samples: of its preprocessor.
        context: one of `CONTEXTS`.
    """

    def __init__(
        self, model: Any, *, mel_filters: np.ndarray, n_fft: int, hop_samples: int, context: str = "window"
    ):
        super().__init__()
        check_choice("model.net.", CONTEXTS, context=context)
        model.embed_positions.requires_grad_(False)  # sinusoids
        self.model = model
        self.n_layers = len(model.layers) + 1
        self.width = model.config.d_model
        self._gradient_checkpointing = False
        self._n_heads = model.config.encoder_attention_heads
        self.context = context
        self.n_fft = n_fft
        self.hop_samples = hop_samples
        self._n_positions = model.config.max_source_positions
        self._frame_samples = hop_samples * model.conv1.stride[0] * model.conv2.stride[0]
        self._window_samples = self._n_positions * self._frame_samples
        self.window: Tensor
        self.filters: Tensor
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(np.float32(mel_filters)), persistent=False)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T) float, zero beyond ``lengths`` (B,) to ((B, L, F, D), frames (B,))."""
        frames = self.frames(lengths)
        n_frames, n_samples = int(frames.max()), int(lengths.max())
        n_windows = -(-n_samples // self._window_samples)
        padded = functional.pad(waveform[:, :n_samples], (0, n_windows * self._window_samples - n_samples))
        windows = padded.unflatten(1, (n_windows, -1))  # (B, W, samples)
        begin = torch.arange(n_windows, device=lengths.device) * self._window_samples
        used = begin < lengths[:, None]  # (B, W)
        positions = self._positions((lengths[:, None] - begin)[used])  # (U,)
        kept, n_positions = min(n_frames, self._n_positions), int(positions.max())
        at_a_time = len(positions) if torch.is_grad_enabled() else max(1, _POSITIONS_AT_A_TIME // n_positions)
        samples = windows[used][:, : n_positions * self._frame_samples].split(at_a_time)
        parts = zip(samples, positions.split(at_a_time), strict=True)
        states = torch.cat([self._layers(self._log_mel(part), own, kept) for part, own in parts])  # (U, L, kept, D)
        placed = states.new_zeros(*used.shape, *states.shape[1:])  # (B, W, L, kept, D)
        placed[used] = states
        return placed.transpose(1, 2).flatten(2, 3)[:, :, :n_frames], frames

    def frames(self, lengths: Tensor) -> Tensor:
        """Return the number of frames that hold clips of so many samples."""
        return -(-lengths // self._frame_samples)

    def depth(self, parameter: str) -> int:
        """Return the layer, from 1, that holds the parameter of that name; 0 for what lies before the first."""
        layer = _LAYER.search(parameter)
        if layer:
            return int(layer[1]) + 1
        return self.n_layers - 1 if "layer_norm." in parameter else 0

    def freeze_feature_encoder(self) -> None:
        """Exclude the convolutions over the spectrogram from training."""
        for convolution in (self.model.conv1, self.model.conv2):
            convolution.requires_grad_(False)

    def keep_no_activations(self) -> None:
        """Switch on gradient checkpointing: layers are computed twice rather than kept in memory."""
        self._gradient_checkpointing = True

    def _positions(self, lengths: Tensor) -> Tensor:
        """Return how many positions (U,) windows take which hold so many samples, or as many as they can."""
        if self.context == "window":
            return torch.full_like(lengths, self._n_positions)
        return (self.frames(lengths) + SILENT_POSITIONS).clamp_max(self._n_positions)

    def _layers(self, mel: Tensor, positions: Tensor, kept: int | None) -> Tensor:
        """Map (U, M, 2P), (U,) to (U, L, kept, D), the first positions of each layer; None keeps all."""
        model = self.model
        x = functional.gelu(model.conv1(clear_padding(mel, 2 * positions)))
        x = functional.gelu(model.conv2(clear_padding(x, 2 * positions))).transpose(1, 2)  # (U, P, D)
        x = x + model.embed_positions.weight[: x.shape[1]].to(x.dtype)
        mask = None
        if self.context == "clip":
            mask = frame_mask(positions, x.shape[1])[:, None, None]  # (U, 1, 1, P)
        states = [x]
        for layer in model.layers:
            if self._gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(self._layer, layer, x, mask, use_reentrant=False)
            else:
                x = self._layer(layer, x, mask)
            states.append(x)
        states[-1] = model.layer_norm(x)
        return torch.stack([state[:, :kept] for state in states], 1)

    def _layer(self, layer: Any, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (U, P, D) to (U, P, D); transformers' own layers take no mask, and no windows shorter than 30 s."""
        attention = layer.self_attn
        normed = layer.self_attn_layer_norm(x)
        q, k, v = (
            project(normed).unflatten(-1, (self._n_heads, -1)).transpose(1, 2)  # (U, H, P, D / H)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        # where it learns on a CPU: a step takes a fifth less time, and a few hundred megabytes more
        in_full = q.requires_grad and not q.is_cuda and q.shape[:3].numel() * q.shape[2] <= _FEW_SCORES
        with sdpa_kernel(SDPBackend.MATH) if in_full else nullcontext():
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + attention.out_proj(attended.transpose(1, 2).flatten(2))
        return x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x))))

    def _log_mel(self, windows: Tensor) -> Tensor:
        """Map (U, samples) to (U, M, 2P), as Whisper's preprocessor makes them."""
        with torch.autocast(windows.device.type, enabled=False):
            decades = (self.filters.T @ self._power(windows)).clamp_min(1e-10).log10()
            loudest = decades.amax((1, 2), keepdim=True)
            return (decades.maximum(loudest - 8) + 4) / 4

    def _power(self, windows: Tensor) -> Tensor:
        """Map (U, samples) to (U, n_fft / 2 + 1, 2P)."""
        spectrum = torch.stft(windows, self.n_fft, self.hop_samples, window=self.window, return_complex=True)
        return spectrum[..., :-1].abs().square()
