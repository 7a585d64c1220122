"""What a person sees of a finished run: pictures in its directory and a few tables on the console.

Everything is read from the run directory, so all of it can be made again at any time.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ser_lightning.report.data_warnings import data_warnings
from ser_lightning.report.figures import draw_confusion, draw_curves, read_history
from ser_lightning.report.leakage import about_test, about_validation
from ser_lightning.report.protocol import corpora, known_of_speakers
from ser_lightning.report.reliability import draw_reliability
from ser_lightning.report.subgroup_figures import draw_robustness, draw_slices
from ser_lightning.report.subgroup_tables import robustness_table, slices_table
from ser_lightning.report.table_cells import confused_with
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.terminal import SafeConsole

_NOT_LOGGED = ("left_out_by_label",)  # warnings that preparation does not log
_SYNTHETIC = "synthetic speech: says nothing about emotion"


def finish(run_dir: Path, result: dict[str, Any] | None = None) -> None:
    """Draw the pictures of a run: whatever its result has numbers for, and of a failed one the curves it got to.

    ``result`` is what result.json is going to say; by default it is read.
    """
    result = _read_result(run_dir) if result is None else result
    words = {"title": _title(result, run_dir), "subtitle": "\n".join(_subtitle(result))}
    if result.get("confusion_matrix"):
        matrix, labels = result["confusion_matrix"], result["labels"]
        draw_confusion(run_dir / "confusion.png", matrix=matrix, labels=labels, **words)
    if result.get("calibration"):
        draw_reliability(run_dir / "reliability.png", curves={"test": result["calibration"]}, **words)
    if result.get("slices"):
        uar = result["metrics"]["test"]["uar"]
        draw_slices(run_dir / "slices.png", result["slices"], uar=uar, **words)
    if result.get("robustness"):
        draw_robustness(run_dir / "robustness.png", result["robustness"], **words)
    history = read_history(run_dir / "metrics.csv") if (run_dir / "metrics.csv").exists() else []
    if history:
        chosen = result.get("epochs", {}).get("chosen")
        draw_curves(run_dir / "curves.png", history=history, chosen_epoch=chosen, **words)


def print_summary(run_dir: Path, console: Console | None = None, *, data_warnings_said: bool = False) -> None:
    """Print how a run went: per class, overall, the protocol it holds for, and where everything lies.

    Args:
        run_dir: the run's directory.
        console: where to; a new console on stdout by default, plain text where that is no terminal.
        data_warnings_said: they were logged when the data were prepared, and are not repeated.
    """
    console = console or SafeConsole()
    result = _read_result(run_dir)
    console.print()
    console.print(Text(_title(result, run_dir), style="bold"))
    if result["status"] != "finished":
        console.print(Text(f"failed: {result.get('reason', 'no reason recorded')}", style="bold red"))
    else:
        for part in _tables(result):
            console.print(part)
            console.print()
    for line in _notes(result):
        console.print(line)
    counts = result.get("warnings") or {}
    if data_warnings_said:
        counts = {kind: n for kind, n in counts.items() if kind in _NOT_LOGGED}
    for line in data_warnings(counts):
        console.print(Text(f"data warning: {line}", style="yellow"))
    for line in _places(run_dir):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _read_result(run_dir: Path) -> dict[str, Any]:
    result = RunDirectory(run_dir).read_result()
    if result is None:
        raise UserError(f"{run_dir} holds no whole result.json: go on with the run, or name another directory")
    return result


def _title(result: dict[str, Any], run_dir: Path) -> str:
    model, protocol = result.get("model", {}).get("name"), result.get("protocol")
    if model and protocol:
        return f"{model} on {corpora(protocol)}"
    config = run_dir / "config.yaml"  # all that there is of a failed run
    settings = OmegaConf.load(config) if config.is_file() else OmegaConf.create()
    return str(OmegaConf.select(settings, "model.name") or "run")


def _subtitle(result: dict[str, Any]) -> Iterator[str]:
    """The result, then what it holds for."""
    test = (result.get("metrics") or {}).get("test")
    if test:
        n_clips = counted(result["protocol"]["n_test"], "clip")
        yield f"test UAR {test['uar']:.1%}  ·  accuracy {test['accuracy']:.1%}  ·  {n_clips}"
    elif result.get("status") == "failed":
        yield "failed before the test"
    if result.get("protocol"):
        yield "  ·  ".join(_protocol(result))


def _protocol(result: dict[str, Any]) -> Iterator[str]:
    protocol = result["protocol"]
    split, fold = protocol["split"], protocol.get("fold")
    if split == "all":
        yield "all clips"
    else:
        yield f"split {split}" + (f", fold {fold}" if fold is not None else "")
    if protocol.get("trained_on"):
        yield f"trained on {protocol['trained_on']}"
    if (result.get("seen") or {}).get("subset") == "unknown":
        yield "whom it heard is not known"
    elif not protocol["speaker_independent"]:
        yield "SPEAKERS SHARED"
    else:
        yield "speaker-disjoint test" if about_validation(result) else "speaker-disjoint"
    known = known_of_speakers(protocol)
    if known is not None:
        yield known
    if result.get("contamination"):
        yield "pretrained on emotional speech"
    if result.get("synthetic"):
        yield "synthetic speech"


def _tables(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield _class_table(result["confusion_matrix"], result["labels"], result["metrics"]["test"]["recall"])
    yield _overall_table(result["metrics"], result.get("human") or {})
    if result.get("robustness"):
        yield robustness_table(result["robustness"])
        if result.get("slices"):
            yield slices_table(result["slices"])


def _class_table(matrix: Sequence[Sequence[int]], labels: Sequence[str], recall: dict[str, float | None]) -> Table:
    table = _table("class", "recall", "test clips")
    table.add_column("most often confused with", overflow="fold")
    for index, (label, row) in enumerate(zip(labels, matrix, strict=True)):
        others = Text(confused_with(row, index, labels))
        table.add_row(Text(label), _percent(recall[label]), f"{sum(row):,}", others)
    return table


def _overall_table(metrics: dict[str, Any], human: dict[str, Any]) -> Table:
    table = _table("overall", "UAR", "accuracy", "macro-F1", "loss")
    for part, name in (("val", "validation"), ("test", "test")):
        values = metrics.get(part)
        if values:
            shares = [_percent(values[key]) for key in ("uar", "accuracy", "macro_f1")]
            table.add_row(name, *shares, f"{values['loss']:.3f}", style="bold" if part == "test" else "")
    for who, name in (("listener", "one listener"), ("majority", "most listeners")):
        if who in human:  # on the very clips of the test
            table.add_row(name, _percent(human[who]["uar"]), _percent(human[who]["accuracy"]), style="dim")
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", title_justify="left")
    table.add_column(first, min_width=12, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _percent(share: float | None) -> str:
    return "absent" if share is None else f"{share:.1%}"


def _notes(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield from filter(None, (_training(result), _cost(result), _sureness(result), _built_on(result)))
    if result.get("protocol"):
        yield from _caveats(result)


def _places(run_dir: Path) -> Iterator[str]:
    """Where the run lies, and the command that uploads what W&B kept offline, in pieces if it was resumed."""
    run_dir = run_dir.absolute()  # to be pasted anywhere
    yield f"run   {run_dir}"
    kept = sorted((run_dir / "wandb").glob("offline-run-*"))
    if kept:
        yield f"W&B   wandb sync {shlex.join(map(str, kept))}"


def _training(result: dict[str, Any]) -> str:
    epochs, parts = result.get("epochs") or {}, []
    if result.get("checkpoint"):
        parts.append(f"the weights of epoch {epochs['chosen']}")
    elif epochs.get("chosen") is not None:
        how = "tested" if result["protocol"]["selection"] == "last epoch" else "chosen"
        parts.append(f"epoch {epochs['chosen']} {how}, {epochs['trained']} trained")
    if result.get("seconds") is not None:
        parts.append(_duration(result["seconds"]))
    return "  ·  ".join(parts)


def _sureness(result: dict[str, Any]) -> str:
    found = result.get("calibration")
    if not found:
        return ""
    return f"calibration error {found['ece']:.1%}  ·  {found['confidence']:.1%} confident on average"


def _cost(result: dict[str, Any]) -> str:
    speed, parts = (result.get("throughput") or {}).get("train_clips_per_s"), []
    if speed:
        parts.append(f"{speed:,.0f} clips/s in training")
    model = result.get("model") or {}
    if model.get("parameters"):
        parts.append(counted(model["parameters"], "parameter"))
    return "  ·  ".join(parts)


def _built_on(result: dict[str, Any]) -> str:
    pretrained = (result.get("model") or {}).get("pretrained")
    return "built on {name}, {mode}, {parameters:,} parameters".format(**pretrained) if pretrained else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * (hours > 0) + [f"{minutes} min"] * (minutes > 0) + [f"{rest} s"] * (hours == 0)
    return " ".join(parts)


def _caveats(result: dict[str, Any]) -> Iterator[RenderableType]:
    if result["protocol"].get("trained_on"):
        yield f"trained on {result['protocol']['trained_on']}"
    split = next(_protocol(result))
    said, is_well = about_test(result)
    yield f"{split}: {said}" if is_well else Text(f"{split}: {said}", style="bold yellow")
    if untested := (result.get("warnings") or {}).get("untested"):
        yield Text(f"this run was cut: {counted(untested, 'test clip')} not tested", style="yellow")
    if (validation := about_validation(result)) is not None:
        yield Text(validation, style="yellow")
    known = known_of_speakers(result["protocol"])
    if known is not None:
        yield known
    if result.get("contamination"):
        yield Text(result["contamination"], style="bold yellow")
    if result.get("synthetic"):
        yield Text(_SYNTHETIC, style="bold yellow")
