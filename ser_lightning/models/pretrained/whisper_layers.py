"""Whisper's encoder without transformers, which takes four seconds to import: the same layers by the same names.

M: mel bins.
"""

import json
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchaudio
from torch import nn
from torch.nn import functional

_FILES = ("config.json", "preprocessor_config.json", "model.safetensors")
_USUAL = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False}
_PREPROCESSING = ("n_fft", "feature_size", "sampling_rate", "hop_length")
_HIGHEST_HZ = 8_000.0  # of the mel filters, whatever the rate
_PROJECTIONS = ("k_proj", "v_proj", "q_proj", "out_proj")


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder, as config.json names them."""

    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    num_mel_bins: int
    max_source_positions: int


class WhisperLayers(nn.Module):
    """The parts of the encoder, which `whisper.WhisperEncoder` puts together."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.config = shape
        width = shape.d_model
        self.conv1 = nn.Conv1d(shape.num_mel_bins, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        # nn.Embedding(…) draws its weights, and on the device "meta" that alone imports torch._dynamo
        self.embed_positions = nn.Embedding.from_pretrained(torch.empty(shape.max_source_positions, width))
        self.layers = nn.ModuleList(WhisperLayer(width, shape.encoder_ffn_dim) for _ in range(shape.encoder_layers))
        self.layer_norm = nn.LayerNorm(width)


class WhisperLayer(nn.Module):
    """The parts of one Transformer layer."""

    def __init__(self, width: int, n_hidden: int):
        super().__init__()
        projections = {name: nn.Linear(width, width, bias=name != "k_proj") for name in _PROJECTIONS}
        self.self_attn = nn.ModuleDict(projections)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, n_hidden)
        self.activation_fn = functional.gelu
        self.fc2 = nn.Linear(n_hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)


class Settings(dict[str, Any]):
    """The settings in a JSON file, read as those of transformers are."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)

    def to_json_string(self) -> str:
        """Return them as JSON."""
        return json.dumps(self)


def read_layers(folder: Path) -> tuple[Settings, Settings, WhisperLayers] | None:
    """Read config, preprocessor and encoder, in 32 bits, from a folder in transformers' layout.

    Returns: None for anything but Whisper, and where something is missing or other than usual: transformers reads
        that, or says what is wrong.
    """
    if find_spec("safetensors") is None or not all((folder / name).is_file() for name in _FILES):
        return None
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config, preprocessor = (Settings(json.loads((folder / name).read_text("utf-8"))) for name in _FILES[:2])
        if {name: config[name] for name in _USUAL} != _USUAL:
            return None
        shape = Shape(**{field.name: config[field.name] for field in fields(Shape)})
        with torch.device("meta"):
            layers = WhisperLayers(shape)
        weights = {name.removeprefix("model."): tensor for name, tensor in load_file(folder / _FILES[2]).items()}
        prefix = "encoder."
        own = {
            name.removeprefix(prefix): tensor.float() for name, tensor in weights.items() if name.startswith(prefix)
        }
        layers.load_state_dict(own, assign=True)
        config["num_attention_heads"] = shape.encoder_attention_heads  # its other name in transformers
        n_fft, n_mels, sample_rate_hz, _ = (preprocessor[name] for name in _PREPROCESSING)
        mel_filters(n_fft, n_mels, sample_rate_hz)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError):
        return None
    return config, preprocessor, layers


def mel_filters(n_fft: int, n_mels: int, sample_rate_hz: int) -> np.ndarray:
    """Return Whisper's mel filters, (n_fft / 2 + 1, M), the same to the last bit whoever read the model."""
    with torch.device("cpu"):  # also while a model is made without memory
        return torchaudio.functional.melscale_fbanks(
            n_fft // 2 + 1, 0.0, _HIGHEST_HZ, n_mels, sample_rate_hz, norm="slaney", mel_scale="slaney"
        ).numpy()
