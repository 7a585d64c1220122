"""Read pretrained speech models from the hub or from a folder, or say in a line why that failed."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ser_lightning.models.pretrained.contamination import contamination
from ser_lightning.models.pretrained.wav2vec2 import Wav2Vec2Encoder
from ser_lightning.models.pretrained.whisper import WhisperEncoder
from ser_lightning.models.pretrained.whisper_layers import WhisperLayers, mel_filters, read_layers
from ser_lightning.models.raw_waveform import RATE_HZ
from ser_lightning.utils.errors import UserError, first_line

WAVES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio")
_LARGEST_NUMBER = 16_384  # of a preprocessor's settings
_LARGEST_TABLE = 1_000_000  # Whisper's mel filters are 400 times 128 numbers
_CLASSES = {  # of transformers, by family: config and preprocessor
    "wav2vec2": ("Wav2Vec2Config", "Wav2Vec2FeatureExtractor"),
    "hubert": ("HubertConfig", "Wav2Vec2FeatureExtractor"),
    "wavlm": ("WavLMConfig", "Wav2Vec2FeatureExtractor"),
    "data2vec-audio": ("Data2VecAudioConfig", "Wav2Vec2FeatureExtractor"),
    "whisper": ("WhisperConfig", "WhisperFeatureExtractor"),
}
FAMILIES = tuple(_CLASSES)

# Switched off in training: masks, dropped layers and adapters would change how many frames and layers there are.
_OFF = {
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "add_adapter": False,
}
# What decides a model's outputs, beside the weights.
_SETTINGS = """
    activation_function conv_kernel conv_pos_batch_norm conv_stride do_stable_layer_norm encoder_attention_heads
    feat_extract_activation feat_extract_norm feat_proj_layer_norm hidden_act layer_norm_eps max_bucket_distance
    max_source_positions model_type num_attention_heads num_conv_pos_embedding_groups scale_embedding
    """.split()
_PREPROCESSING = ("do_normalize", "n_fft", "hop_length", "feature_size")

Encoder = Wav2Vec2Encoder | WhisperEncoder


@dataclass(frozen=True)
class Source:
    """What checkpoints and results say of a pretrained model.

    ``digest`` is of its weights and of what else decides its outputs; ``architecture`` is all but the weights, as
    JSON; ``contamination`` is said where it was trained on emotional speech.
    """

    name: str
    family: str
    digest: str
    architecture: str
    contamination: str | None

    @property
    def place(self) -> str:
        """Return the name on the hub, or the whole path of the folder."""
        return str(_folder_of(self.name) or self.name)


def read_encoder(name: str | None, *, context: str = "window") -> tuple[Encoder, Source]:
    """Read the model of that name on the hub, or in the folder of that name, in 32 bits; ``context`` is of Whisper.

    Whisper in a folder is read without transformers.
    Raises: UserError where transformers is not installed, or no such model can be had or used.
    """
    if not name:
        raise UserError(
            "model=pretrained needs to know which: model.net.name=facebook/wav2vec2-base, say, or a folder of one"
        )
    folder = _folder_of(name)
    if folder is None and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise UserError(
            f"{name} is no folder: model.net.name is a model on the hub, or the folder of one. "
            "If it was moved, put it back, or a link to it"
        )
    config, preprocessor, model = (folder and read_layers(folder)) or _by_transformers(name)
    if preprocessor.sampling_rate != RATE_HZ:
        raise UserError(f"{name} takes {preprocessor.sampling_rate} samples a second, and clips have {RATE_HZ}")
    return _made(name, config, preprocessor, model, context=context)


def _by_transformers(name: str) -> tuple[Any, Any, Any]:
    """Return config, preprocessor and model. Raises: as `read_encoder`."""
    library = _library()
    config = _read(name, "config.json", partial(library.AutoConfig.from_pretrained, trust_remote_code=False))
    if config.model_type not in FAMILIES:
        raise UserError(f"{name} is a {config.model_type}: known are {', '.join(FAMILIES)}")
    config.update({setting: value for setting, value in _OFF.items() if hasattr(config, setting)})
    read_preprocessor = partial(library.AutoFeatureExtractor.from_pretrained, trust_remote_code=False)
    preprocessor = _read(name, "preprocessor_config.json", read_preprocessor)
    model, report = _read(
        name,
        "the file of weights",
        lambda source: library.AutoModel.from_pretrained(
            source, config=config, output_loading_info=True, trust_remote_code=False
        ),
    )
    lacking = sorted(key for key in report["missing_keys"] if "decoder." not in key)
    if lacking:
        raise UserError(f"{name} lacks {len(lacking)} of its weights, {lacking[0]} for one")
    return config, preprocessor, model


def remake_encoder(name: str | None, architecture: str, *, context: str = "window") -> tuple[Encoder, Source]:
    """Make the model that `Source.architecture` describes, with random weights, of the five families alone.

    A checkpoint may come from anywhere: of its description, that is used which the family's own config knows. The
    digest is the checkpoint's to say.

    Raises: UserError where transformers is not installed, and for a description of anything else.
    """
    library = _library()
    try:
        parts = json.loads(architecture)
        config_class, preprocessor_class = _CLASSES[parts["config"]["model_type"]]
        config = getattr(library, config_class)()
        config.update({key: parts["config"][key] for key in config.to_dict() if key in parts["config"]})
        if hasattr(config, "decoder_layers"):
            config.decoder_layers = 0  # Whisper's, which would be made, and left
        preprocessor = getattr(library, preprocessor_class)(**_bounded(parts["preprocessor"]))
        model = library.AutoModel.from_config(config, trust_remote_code=False)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the checkpoint describes no pretrained model of {', '.join(FAMILIES)} ({first_line(error)})"
        ) from error
    return _made(str(name), config, preprocessor, model, context=context, digest="")


def _bounded(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a preprocessor's settings that decide its numbers, checked to make no large table."""
    refusal = ValueError("its preprocessor is none of these families'")
    numbers = {key: settings[key] for key in _PREPROCESSING if key in settings}
    if not all(isinstance(value, int) and 0 <= value <= _LARGEST_NUMBER for value in numbers.values()):
        raise refusal
    n_fft, hop_samples = numbers.get("n_fft", 400), numbers.get("hop_length", 160)
    if hop_samples < 1 or RATE_HZ * n_fft // hop_samples > _LARGEST_TABLE:  # numbers a second
        raise refusal
    if n_fft * numbers.get("feature_size", 80) > _LARGEST_TABLE:  # filters
        raise refusal
    return numbers


def _made(
    name: str, config: Any, preprocessor: Any, model: Any, *, context: str, digest: str | None = None
) -> tuple[Encoder, Source]:
    """Return the encoder around a model of transformers or `WhisperLayers`, and its `Source`."""
    model = model.float()
    encoder: Encoder
    if config.model_type in WAVES:
        encoder = Wav2Vec2Encoder(model, standardise=preprocessor.do_normalize)
    else:
        encoder = WhisperEncoder(
            model if isinstance(model, WhisperLayers) else model.get_encoder(),
            mel_filters=mel_filters(preprocessor.n_fft, preprocessor.feature_size, preprocessor.sampling_rate),
            n_fft=preprocessor.n_fft,
            hop_samples=preprocessor.hop_length,
            context=context,
        )
    parts = {"config": config, "preprocessor": preprocessor}
    path = Path(name)
    short_name = path.name if path.is_absolute() or _folder_of(name) else name
    source = Source(
        name=name,
        family=config.model_type,
        digest=_digest(config, preprocessor, encoder) if digest is None else digest,
        architecture=json.dumps({key: json.loads(part.to_json_string()) for key, part in parts.items()}),
        contamination=contamination(short_name, (config.id2label or {}).values(), family=config.model_type),
    )
    return encoder, source


def _digest(config: Any, preprocessor: Any, encoder: Encoder) -> str:
    """Hash settings and weights, without their names, which differ between versions of transformers."""
    facts = []
    for part, names in ((config, _SETTINGS), (preprocessor, _PREPROCESSING)):
        for name in names:
            value = getattr(part, name, None)
            facts.append(repr((name, list(value) if isinstance(value, (list, tuple)) else value)))
    facts += sorted(
        f"{tuple(tensor.shape)} {hashlib.sha256(np.ascontiguousarray(tensor).data).hexdigest()}"
        for tensor in encoder.state_dict().values()
    )
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:32]


def _folder_of(name: str) -> Path | None:
    """Return the folder of that name; None where there is none, and the name is one of the hub's."""
    folder = Path(name).expanduser()
    return folder.resolve() if folder.is_dir() else None


def _library() -> Any:
    try:
        import transformers
    except ImportError:
        raise UserError(
            "model=pretrained needs transformers: pip install -c constraints.txt -e '.[pretrained]'"
        ) from None
    from huggingface_hub.utils import logging as hub_logging

    hub_logging.set_verbosity_error()  # what goes wrong is said here, in a line
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _read(name: str, part: str, read: Callable[[str], Any]) -> Any:
    """Call ``read``, which reads a part of the model, with its folder or its name on the hub."""
    from safetensors import SafetensorError

    folder = _folder_of(name)
    if folder is not None and any(
        path.exists() and not (path.is_file() or path.is_dir()) for path in folder.iterdir()
    ):
        raise UserError(f"{name} cannot be read: it holds pipes or devices, which a model does not")
    try:
        return read(str(folder or name))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        line = first_line(error)
        if folder is not None:
            raise UserError(f"{name} cannot be read: {part} is not there, or not whole ({line})") from error
        if not isinstance(error, OSError):
            raise UserError(f"{name} cannot be read: {line}") from error
        raise UserError(
            f"{name} cannot be had: no connection to the hub, or no such model. "
            "Put its files in a folder and say model.net.name=DIR"
        ) from error
