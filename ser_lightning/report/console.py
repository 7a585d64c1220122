"""Show a finished run to a person: pictures in its directory and a few tables on the console.

Everything is read from the run directory, so all of it can be made again at any time.
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console, RenderableType
from rich.text import Text

from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.report.data_warnings import data_warnings
from ser_lightning.report.distribution import about_votes
from ser_lightning.report.figures import draw_curves, read_history, task_of_history
from ser_lightning.report.leakage import about_test, about_validation, is_unknown
from ser_lightning.report.metric_style import written_scores
from ser_lightning.report.numbers import duration
from ser_lightning.report.protocol import corpora, known_of_speakers, model_title
from ser_lightning.report.subgroup_tables import robustness_table, subgroups_table
from ser_lightning.report.task_figures import draw_figure
from ser_lightning.report.task_tables import result_table
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import Failure, Result
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.terminal import SafeConsole

_SAID_AT_THE_END = (  # what preparation does not log, or nobody should miss
    "missing",
    *("left_out_by_label", "left_out_without_value", "tied_votes"),
    *("unknown_speaker", "unknown_trained", "namesakes", "outside_split"),
)
_BETWEEN = "  ·  "


def finish(run_dir: Path, result: Result | Failure | None = None) -> None:
    """Draw the pictures of a run: whatever its result has numbers for, and of a failed one the curves it got to.

    ``result`` is what result.json is going to say; by default it is read.
    """
    result = _read_result(run_dir) if result is None else result
    words = {"title": _title(result, run_dir), "subtitle": "failed before the test"}
    if isinstance(result, Result):
        scores = [*written_scores(result.metrics.test, result.predicts), counted(result.n_tested, "clip")]
        words["subtitle"] = f"test {_BETWEEN.join(scores)}\n{_BETWEEN.join(_protocol(result))}"
        for name in result.predicts.figures:
            draw_figure(name, run_dir / f"{name}.png", result, **words)
    metrics = RunDirectory(run_dir).metrics
    history = read_history(metrics) if metrics.exists() else []
    if history:
        best = result.epochs.best if isinstance(result, Result) else None
        task = result.predicts if isinstance(result, Result) else task_of_history(history)
        draw_curves(run_dir / "curves.png", history=history, best_epoch=best, task=task, **words)


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
    if isinstance(result, Failure):
        console.print(Text(f"failed: {result.reason or 'no reason recorded'}", style="bold red"))
        if result.seconds is not None:
            console.print(duration(result.seconds))
    else:
        tables: list[RenderableType] = [result_table(name, result) for name in result.predicts.tables]
        if result.robustness:
            tables.append(robustness_table(result.robustness, result.predicts))
            if result.subgroups:
                tables.append(subgroups_table(result.subgroups, result.predicts))
        for table in tables:
            console.print(table)
            console.print()
        for line in (*_notes(result), *_caveats(result)):
            console.print(line)
        counts = result.warnings
        if data_warnings_said:
            counts = {kind: n for kind, n in counts.items() if kind in _SAID_AT_THE_END}
        for line in data_warnings(counts):
            console.print(Text(f"data warning: {line}", style="yellow"))
    place = run_dir.absolute()  # to be pasted anywhere
    console.print(f"run   {place}", soft_wrap=True, markup=False, highlight=False)
    if kept := sorted((place / "wandb").glob("offline-run-*")):  # in pieces, if it was resumed
        upload = f"W&B   wandb sync {shlex.join(map(str, kept))}"
        console.print(upload, soft_wrap=True, markup=False, highlight=False)


def _read_result(run_dir: Path) -> Result | Failure:
    """Read the result of a directory. Raises: UserError where it has none."""
    result = RunDirectory(run_dir).read_result()
    if result is None:
        raise UserError(f"{run_dir} holds no complete result.json: go on with the run, or name another directory")
    return result


def _title(result: Result | Failure, run_dir: Path) -> str:
    """Return model and corpora, or of a failed run the model's name, where its config has one."""
    if isinstance(result, Result):
        return f"{model_title(result.model)} on {corpora(result.protocol.facts())}"
    config = RunDirectory(run_dir).config  # all that there is of a failed run
    settings = OmegaConf.load(config) if config.is_file() else OmegaConf.create()
    return str(OmegaConf.select(settings, "model.name") or "run")


def _protocol(result: Result) -> Iterator[str]:
    """Yield what a result holds for, in a few words each, the split first."""
    protocol = result.protocol
    yield "all clips" if protocol.split == "all" else f"split {protocol.split}, fold {protocol.fold}"
    if protocol.trained_on:
        yield f"trained on {protocol.trained_on}"
    if is_unknown(result):
        yield "training speakers not known"
    elif not protocol.speaker_independent:
        yield "SPEAKERS SHARED"
    else:
        yield "speaker-disjoint test" if about_validation(result) else "speaker-disjoint"
    known = known_of_speakers(protocol.speaker_clips)
    if known is not None:
        yield known
    if result.contamination:
        yield "pretraining may have had the corpus"
    if result.synthetic:
        yield "synthetic speech"


def _notes(result: Result) -> Iterator[str]:
    """Yield a line each on votes, the training, its cost, confidence and the encoder, as far as they are known."""
    if (votes := about_votes(result)) is not None:
        yield votes
    epochs, last = result.epochs, result.protocol.selection == "last epoch"
    if result.checkpoint is not None:
        training = [f"the weights of epoch {epochs.best}"]
    else:
        training = [f"{'last' if last else 'best'} epoch {epochs.best}, {epochs.trained} trained"]
    if result.seconds is not None:
        training.append(duration(result.seconds))
    yield _BETWEEN.join(training)
    cost = []
    if result.throughput is not None and result.throughput.train_clips_per_s:
        cost.append(f"{result.throughput.train_clips_per_s:,.0f} clips/s in training")
    if result.model.parameters:
        cost.append(counted(result.model.parameters, "parameter"))
    if cost:
        yield _BETWEEN.join(cost)
    calibration = getattr(result, "calibration", None)  # which numbers do not have
    if calibration is not None and calibration.confidence is not None:
        confidence = f"{calibration.confidence:.1%} confident on average"
        yield f"calibration error {calibration.ece:.1%}{_BETWEEN}{confidence}"
    if (encoder := result.model.pretrained) is not None:
        yield f"built on {encoder.name}, {encoder.mode}, {encoder.parameters:,} parameters"


def _caveats(result: Result) -> Iterator[RenderableType]:
    """Yield what the numbers do not hold for, or hold for alone."""
    if result.protocol.trained_on:
        yield f"trained on {result.protocol.trained_on}"
    split = next(_protocol(result))
    text, is_well = about_test(result)
    yield f"{split}: {text}" if is_well else Text(f"{split}: {text}", style="bold yellow")
    if untested := result.warnings.get("untested"):
        yield Text(f"this run was cut: {counted(untested, 'test clip')} not tested", style="yellow")
    if (validation := about_validation(result)) is not None:
        yield Text(validation, style="yellow")
    known = known_of_speakers(result.protocol.speaker_clips)
    if known is not None:
        yield known
    if result.contamination:
        yield Text(result.contamination, style="bold yellow")
    if result.synthetic:
        yield Text(SYNTHETIC, style="bold yellow")
