"""`ser eval`, `calibrate`, `predict`, `export` and `demo`: what a trained model is good for."""

from pathlib import Path

import click

from ser_lightning.commands.output import new_console

_checkpoint = click.argument("checkpoint", metavar="CKPT")
_overrides = click.argument("overrides", nargs=-1)
_device = click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, or cuda.")
_trust = click.option(
    "--trust", is_flag=True, help="Run a network that is not of this package, as the checkpoint says."
)


@click.command()
@_checkpoint
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|DIR|-...")
@click.option("--csv", metavar="FILE", help="A row a recording.")
@click.option("--json", metavar="FILE", help="Everything, with every segment.")
@click.option("--jsonl", metavar="FILE", help="The same, a line a recording as soon as it is heard.")
@click.option("--window", default=4.0, show_default=True, help="Seconds of a segment of a long recording.")
@click.option("--hop", default=2.0, show_default=True, help="Seconds from one segment to the next.")
@click.option("--one-speaker", is_flag=True, help="All are of one person: know the voice from all of them first.")
@click.option("--raw-rate", metavar="HZ", type=int, help="Standard input is 16-bit samples without a header.")
@click.option("--raw-channels", default=1, show_default=True, help="How many channels these have.")
@_device
@_trust
def predict(
    checkpoint: str,
    inputs: tuple[str, ...],
    window: float,
    hop: float,
    one_speaker: bool,
    raw_rate: int | None,
    raw_channels: int,
    device: str,
    trust: bool,
    **files: str | None,
) -> int:
    """Recognise emotions in audio files, folders of them, or what is piped in.

    CKPT is the checkpoint of a run, or the run's directory. Recordings longer than one and a half windows are
    heard in segments. What cannot be read is named, the rest goes on, and the exit status is 1. FILE may be - for
    stdout.

    For example: ser predict best.ckpt recordings/ --csv answers.csv
    """
    from ser_lightning.commands.predict import predict_and_deliver
    from ser_lightning.inference.recordings import RawFormat
    from ser_lightning.inference.windows import Windows

    return predict_and_deliver(
        checkpoint,
        inputs,
        {kind: place for kind, place in files.items() if place is not None},
        windows=Windows(window_s=window, hop_s=hop),
        one_speaker=one_speaker,
        raw=RawFormat(sample_rate_hz=raw_rate, channels=raw_channels) if raw_rate is not None else None,
        device=device,
        trust=trust,
        console=new_console(),
    )


@click.command("eval")
@_checkpoint
@_overrides
@click.option("--all", "whole", is_flag=True, help="All clips of the corpus, whatever its split.")
@click.option("--robustness", is_flag=True, help="In noise, rooms, over the telephone and so on too.")
@click.option("--to", metavar="DIR", help="Where the result goes; outputs/eval/... by default.")
@click.option("--allow-seen", is_flag=True, help="Even if it heard these speakers before: the result is marked.")
@click.option(
    "--speaker-clips", metavar="N|all", help="Clips of a speaker that are known, unlabelled, if it can use them."
)
@_device
@_trust
def evaluate(
    checkpoint: str,
    overrides: tuple[str, ...],
    whole: bool,
    robustness: bool,
    to: str | None,
    allow_seen: bool,
    speaker_clips: str | None,
    device: str,
    trust: bool,
) -> None:
    """Judge a trained model, on speakers that it has not heard.

    CKPT is the checkpoint of a run, or the run's directory. OVERRIDES say on what: nothing is its own test;
    data.fold=1 another fold's; data=ravdess data.root=DIR another corpus, and all of it unless a split or fold is
    named. Labels of another corpus need a map: data/label_map=six.

    For example: ser eval best.ckpt data=emodb data.root=DIR data/label_map=six
    """
    from ser_lightning.commands.eval import evaluate as judge

    judge(
        checkpoint,
        overrides,
        to=to,
        whole=whole,
        under_conditions=robustness,
        allow_seen=allow_seen,
        speaker_clips=speaker_clips,
        device=device,
        trust=trust,
        console=new_console(),
    )


@click.command()
@_checkpoint
@_overrides
@click.option("--output", metavar="FILE", help="The new checkpoint; CKPT.calibrated.ckpt by default.")
@_device
@_trust
def calibrate(checkpoint: str, overrides: tuple[str, ...], output: str | None, device: str, trust: bool) -> None:
    """Make probabilities mean what they say: fit a temperature on the validation speakers.

    No answer changes, only how sure it is said to be. OVERRIDES are of the data, such as data.root=DIR.

    For example: ser calibrate best.ckpt
    """
    from ser_lightning.commands.calibrate import calibrate as fit

    fit(checkpoint, overrides, output=output, device=device, trust=trust, console=new_console())


@click.command()
@_checkpoint
@click.option("--to", type=click.Choice(["onnx"]), default="onnx", show_default=True, help="What to write.")
@click.option("--output", metavar="FILE", help="Where to; by default beside the checkpoint.")
@_trust
def export(checkpoint: str, to: str, output: str | None, trust: bool) -> None:
    """Write a trained model for other runtimes, waveforms in, probabilities out.

    CKPT is the checkpoint of a run, or the run's directory. The file is compared with PyTorch on clips of many
    lengths first, and written only if they agree.
    """
    from ser_lightning.commands.export import export_checkpoint

    export_checkpoint(checkpoint, output=output, trust=trust)


@click.command()
@_checkpoint
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="An address of this machine; with one that others reach, or 0.0.0.0 for all, a password is asked for.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of 7860, or the next free one; 0 for any.")
@click.option(
    "--password",
    envvar="SER_DEMO_PASSWORD",
    show_envvar=True,
    help="Of 8 characters or more. For other machines one is made up and printed if none is given.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@_trust
def demo(checkpoint: str, host: str, port: int | None, password: str | None, no_browser: bool, trust: bool) -> None:
    """Try a model in the browser, on files or your own voice.

    CKPT is the checkpoint of a run, or the run's directory. The page is for this machine alone, unless --host names
    another address.
    """
    from ser_lightning.demo.server import serve

    serve(Path(checkpoint), host=host, port=port, password=password, open_browser=not no_browser, trust=trust)
