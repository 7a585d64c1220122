"""What `ser export` does: make the file, compare it with the model, write it, say so."""

import logging
from importlib.util import find_spec
from pathlib import Path

import click

from ser_lightning.commands.places import check_places
from ser_lightning.inference.checkpoint import Checkpoint, read_checkpoint
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import replacing

log = logging.getLogger(__name__)

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def export_checkpoint(path: str, *, output: str | None, trust: bool = False) -> None:
    """Write the model of a checkpoint as an ONNX file, by default beside it.

    Raises: UserError for what cannot be exported, or cannot be written; then nothing is.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"exporting needs {', '.join(missing)}: pip install -c constraints.txt -e '.[export]' brings them"
        )
    checkpoint = read_checkpoint(path)
    _check_kind(checkpoint)
    place = Path(output).expanduser() if output is not None else checkpoint.path.with_suffix(".onnx")
    check_places({"output": str(place)})
    _export(checkpoint, place, trust=trust)


def _export(checkpoint: Checkpoint, place: Path, *, trust: bool) -> None:
    from ser_lightning.export.onnx_file import to_onnx
    from ser_lightning.export.parity import CLIP_S, check
    from ser_lightning.inference.recognizer import recognizer

    model = recognizer(checkpoint, trust=trust)
    log.info("exporting %s, which takes some ten seconds", model.name)
    content = to_onnx(model)
    found = check(content, model)
    with replacing(place) as partial:
        partial.write_bytes(content)
    click.echo(f"{model.name}: {place}, {len(content) / 1e6:.1f} MB")
    click.echo(f"at most {found.difference:.1e} off PyTorch, over {counted(found.n_clips, 'clip')} of 0.01 to 12 s")
    click.echo(
        f"a clip of {CLIP_S} s takes {found.onnxruntime_ms:.1f} ms in onnxruntime, {found.pytorch_ms:.1f} ms in "
        "PyTorch, one thread each"
    )


def _check_kind(checkpoint: Checkpoint) -> None:
    model = checkpoint.config["model"]
    if not str(model["frontend"]["_target_"]).endswith(".LogMel"):
        raise UserError(
            f"{model['name']} cannot be exported: it listens to waveforms, and only networks on log-mel "
            "spectrograms can be"
        )
