"""Export a trained model as ONNX: waveforms in, probabilities or numbers out.

B: clips.  T: samples of the longest clip.  K: labels or targets.
"""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import torch
from torch import Tensor, nn

from ser_lightning import __version__
from ser_lightning.export.exportable import exportable
from ser_lightning.export.frontend import LogMelByConvolution
from ser_lightning.export.onnx_ops import OPSET, TRANSLATIONS
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.models.frontend import LogMel
from ser_lightning.models.nets.network import hook
from ser_lightning.models.raw_waveform import RawWaveform
from ser_lightning.utils.errors import UserError, first_line

_TRACED_S = (1.3, 0.9, 0.4)  # any lengths would do
_MOST_BYTES = 2_000_000_000  # a file of ONNX without others beside it holds little more


class _Graph(nn.Module):
    """An `EmotionRecognizer` as one module to trace, from waveforms to answers."""

    def __init__(self, model: EmotionRecognizer):
        super().__init__()
        frontend: nn.Module = model.frontend
        if isinstance(frontend, LogMel):
            settings = model.stamp["config"]["model"]["frontend"]
            options = {name: value for name, value in settings.items() if not name.startswith("_")}
            frontend = LogMelByConvolution(sample_rate_hz=model.sample_rate_hz, **options)
            frontend.load_state_dict(model.frontend.state_dict())
        elif not isinstance(frontend, RawWaveform):
            raise UserError(
                f"{model.name} cannot be exported: of front-ends only LogMel and RawWaveform can be, and it has "
                f"{type(frontend).__name__}"
            )
        self.frontend = frontend
        self.net = exportable(model.net)
        self.readout = model.readout
        self._answers = model.task.answers
        self._temperature = model.temperature

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, T) float in [-1, 1], (B,) to (B, K)."""
        return self._answers(self.readout(self.net(*self.frontend(waveform, lengths))) / self._temperature)


def to_onnx(model: EmotionRecognizer) -> bytes:
    """Return the model as the content of an ONNX file, for batches of any size and clips of any length.

    Inputs: ``waveform`` (B, T) float32 in [-1, 1] and ``lengths`` (B,) int64; output: ``probabilities`` (B, K),
    or ``values`` (B, K) of a model that predicts numbers.
    Raises: UserError for what cannot be exported.
    """
    graph = _Graph(model).eval().requires_grad_(False)
    n_bytes = sum(tensor.nbytes for tensor in (*graph.parameters(), *graph.buffers()))
    if n_bytes > _MOST_BYTES:
        raise UserError(
            f"{model.name} cannot be exported: its weights take {n_bytes / 1e9:.1f} GB, and a single ONNX file "
            f"holds {_MOST_BYTES / 1e9:.1f} GB"
        )
    lengths = torch.tensor([int(s * model.sample_rate_hz) for s in _TRACED_S])
    waveform = torch.randn(len(lengths), int(lengths.max()), generator=torch.Generator().manual_seed(0)) / 10
    try:
        with _quietly():
            program = torch.onnx.export(
                graph,
                (waveform, lengths),
                input_names=["waveform", "lengths"],
                output_names=[output_name(model)],
                dynamic_shapes={"waveform": {0: "batch", 1: "samples"}, "lengths": {0: "batch"}},
                custom_translation_table=TRANSLATIONS,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # of very many kinds
        raise UserError(f"{model.name} cannot be exported: {first_line(error.__cause__ or error)}") from error
    assert program is not None, "dynamo=True returns one"
    program.model.metadata_props.update(metadata(model))
    return program.model_proto.SerializeToString()


def output_name(model: EmotionRecognizer) -> str:
    """Return the name of the file's output."""
    return "probabilities" if model.labels else "values"


def metadata(model: EmotionRecognizer) -> dict[str, str]:
    """Return the file's description of itself: labels, rate, protocol and usage, as strings."""
    predicts = {key: json.dumps(value, ensure_ascii=False) for key, value in model.task.entry().items()}
    about = hook(model.net, "description")()
    return {
        **predicts,
        "sample_rate_hz": str(model.sample_rate_hz),
        "model": model.name,
        "protocol": json.dumps(dict(model.stamp["protocol"]), ensure_ascii=False),
        "temperature": str(model.temperature),
        "ser_lightning": __version__,
        **{key: json.dumps(value, ensure_ascii=False) for key, value in about.items()},
        "usage": (
            f"waveform (batch, samples) float32 in [-1, 1] at {model.sample_rate_hz} Hz, zeros after each clip, "
            f"lengths (batch,) int64 in samples -> {output_name(model)} (batch, {model.task.n_outputs}) in the "
            f"order of {model.task.outputs_word}"
        ),
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporter's remarks, and take a Transformer as made of its parts."""
    logged, fast = logging.root.manager.disable, torch.backends.mha.get_fastpath_enabled()
    logging.disable(logging.CRITICAL)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # it prints graphs that it cannot trace
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        logging.disable(logged)
