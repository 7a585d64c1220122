"""`ser export`: write a trained model for other runtimes."""

import logging
from importlib.util import find_spec
from pathlib import Path

import click

from ser_lightning.commands.options import check_places, checkpoint_argument, trust_option
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import replacing

log = logging.getLogger(__name__)

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


@click.command()
@checkpoint_argument
@click.option("--to", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="The format to write.")
@click.option("--output", metavar="FILE", help="The file to write; by default beside the checkpoint.")
@trust_option
def export(checkpoint: str, to: str, output: str | None, trust: bool) -> None:
    """Write a trained model for other runtimes, waveforms in, probabilities (or numbers) out.

    CKPT is the checkpoint of a run, or the run's directory. The file is compared with PyTorch on clips of many
    lengths first, and written only if they agree.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"exporting needs {', '.join(missing)}: pip install -c constraints.txt -e '.[export]' brings them"
        )
    from ser_lightning.export.onnx_file import to_onnx
    from ser_lightning.export.parity import CLIP_S, check
    from ser_lightning.inference.checkpoint import read_checkpoint
    from ser_lightning.inference.recognizer import recognizer

    saved = read_checkpoint(checkpoint)
    if str(saved.config["model"]["net"]["_target_"]).endswith(".OpenSmile"):
        raise UserError(
            f"{saved.config['model']['name']} cannot be exported: its functionals are computed by the package "
            "opensmile, and no operators of ONNX are the same"
        )
    place = Path(output).expanduser() if output is not None else saved.path.with_suffix(".onnx")
    check_places({"output": str(place)}, endings=(".onnx",))
    model = recognizer(saved, trust=trust)
    log.info("exporting %s, which takes some ten seconds", model.name)
    content = to_onnx(model)
    parity = check(content, model)
    with replacing(place) as partial:
        partial.write_bytes(content)
    click.echo(f"{model.name}: {place}, {len(content) / 1e6:.1f} MB")
    click.echo(
        f"at most {parity.difference:.1e} off PyTorch, over {counted(parity.n_clips, 'clip')} of 0.01 to 35 s"
    )
    click.echo(
        f"a clip of {CLIP_S} s takes {parity.onnxruntime_ms:.1f} ms in onnxruntime, {parity.pytorch_ms:.1f} ms in "
        "PyTorch, one thread each"
    )
