"""Pretrained models as the hub has them, only tiny and untrained, written to disk; and where real ones may lie."""

import os
from pathlib import Path
from typing import Any

import torch

CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
WAVES = {
    "wav2vec2": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},  # as large ones
    "wav2vec2-group": {},  # as base ones
    "hubert": {"conv_pos_batch_norm": True},
    "wavlm": {},
    "data2vec-audio": {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
}
FAMILIES = (*WAVES, "whisper")
REAL = Path(os.environ.get("SER_TEST_MODELS") or Path(__file__).parents[2] / "shared" / "models")
WHISPER_TINY = REAL / "whisper-tiny.en-encoder"


def make_checkpoint(folder: Path, family: str = "wav2vec2", *, seed: int = 0, **changes: Any) -> Path:
    """Write a random model of the family and its preprocessor, ``changes`` in its config; returns ``folder``."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(seed)
    if family == "whisper":
        config = transformers.WhisperConfig(**_WHISPER | changes)
        extractor = transformers.WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    else:
        kind = family.removesuffix("-group")
        config = transformers.AutoConfig.for_model(kind, **CONVOLUTIONS | SIZES | WAVES[family] | changes)
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=family != "wavlm")
    model = transformers.AutoModel.from_config(config)
    _unlike_at_birth(model)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


_WHISPER = {
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 9,  # many more than of the encoder, which is all that is used
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "num_mel_bins": 8,
    "max_source_positions": 50,  # a second
    "max_target_positions": 8,
    "vocab_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 3,
}


def _unlike_at_birth(model: torch.nn.Module) -> None:
    """Nothing is at the zero or one that it starts from: what leaves a part out is then seen to."""
    for name, tensor in model.named_parameters():
        with torch.no_grad():
            if tensor.dim() == 1 or "norm" in name:
                tensor += 0.2 * torch.randn_like(tensor)
