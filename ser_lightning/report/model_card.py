"""Write model_card.md out of a run's directory: what a stranger must know before using the checkpoint.

S: speakers.  K: labels.
"""

import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from ser_lightning.evaluation import bootstrap
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.evaluation.part_scores import estimate_of
from ser_lightning.evaluation.records import Scores
from ser_lightning.report import model_card_sentences, numbers
from ser_lightning.report.data_warnings import data_warnings
from ser_lightning.report.metric_style import Style
from ser_lightning.report.protocol import model_title, without_folders
from ser_lightning.report.table_cells import confused_with, markdown
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.finished import CutRun, FinishedRun, read_run, why_not
from ser_lightning.runs.result import ClassificationResult, RegressionResult, Result
from ser_lightning.runs.result_parts import Annotators, CorpusFacts
from ser_lightning.utils.errors import UserError, counted
from ser_lightning.utils.files import written_whole

_FOLDER = Path(__file__).parent
NAME = RunDirectory.card.name
_SUBGROUPS = ("corpus", "sex")


log = logging.getLogger(__name__)


def write_card(run_dir: Path, result: Result | None = None) -> Path | None:
    """Write ``checkpoints/model_card.md`` of a finished run, in Markdown with the metadata of Hugging Face's hub.

    A run that was cut gets none, which is logged.

    Args:
        result: what result.json is going to say; by default it is read.

    Returns: the file, if there is one.
    Raises: UserError where the directory holds no finished run.
    """
    directory = RunDirectory(run_dir)
    try:
        run = read_run(directory, result)
    except CutRun as cut:
        log.info("no model card: %s", cut)
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{run_dir} has no model card: {why_not(error)}") from error
    template = _environment().get_template(f"card_{run.result.task}.md.j2")
    text = template.render(_facts(run, directory))
    path = directory.card
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as file:
        file.write(text)
    return path


@cache
def _environment() -> Environment:
    """Return the environment of the template: what is filled in is text, never markup, unless it says so."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=False,  # that is HTML's: `finalize` does Markdown's
        finalize=lambda value: value if isinstance(value, Markup) else markdown(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for write in (
        *(numbers.percent, numbers.interval, numbers.decimal, numbers.count),
        *(between, between_decimals, code, counted),
    ):
        environment.filters[write.__name__] = write
    return environment


def code(text: str, *, in_table: bool = False) -> Markup:
    """Return a line of code in Markdown, letter by letter; in a table, a bar would end the cell even there."""
    line = " ".join(text.split())
    if in_table:
        line = line.replace("|", r"\|")
    if "`" not in line:
        return Markup(f"`{line}`")
    fence = "`" * (1 + max(map(len, re.findall("`+", line))))
    return Markup(f"{fence} {line} {fence}")


def _facts(run: FinishedRun, directory: RunDirectory) -> dict[str, Any]:
    """Return what the template fills in, by name."""
    result = run.result
    tested_on = _titles(result, test=True)
    taught = result.teacher.corpora if result.teacher is not None else []
    title = f"{model_title(result.model)} on {_titles(result)}" + (f", tested on {tested_on}" if tested_on else "")
    return {
        "front": Markup(yaml.safe_dump(_metadata(run, title), sort_keys=False, allow_unicode=True).rstrip()),
        "title": title,
        "model": run.model,
        "corpora": list(map(_without_folders, result.corpora)),
        "of_teacher": [_without_folders(corpus) for corpus in taught if corpus not in result.corpora],
        "corpus": result.protocol.corpus,
        "test_corpus": result.protocol.test_corpus,
        "where": f" of {tested_on}" if tested_on else "",
        "synthetic": result.synthetic,
        "speaker_independent": result.protocol.speaker_independent,
        "shared": model_card_sentences.shared(result),
        "contamination": result.contamination,
        "selection": result.protocol.selection,
        "split_hash": result.protocol.split_hash,
        "network": list(model_card_sentences.network(run)),
        "protocol": list(model_card_sentences.protocol(run)),
        "n_resamples": bootstrap.N_RESAMPLES,
        "fewest_speakers": bootstrap.FEWEST_SPEAKERS,
        **_OF_TASK[result.task](run),
        "val": result.metrics.val,
        "annotators": result.annotators or Annotators(),
        "subgroups": {name: parts for name, parts in result.subgroups.items() if name in _SUBGROUPS},
        "warnings": data_warnings(result.warnings),
        "environment": list(model_card_sentences.environment(result)),
        "command": model_card_sentences.command(run),
        "checkpoint": directory.best.name if directory.best.is_file() else directory.last.name,
        "frozen": result.model.pretrained is not None and result.model.pretrained.mode == "frozen",
    }


def _without_folders(corpus: CorpusFacts) -> CorpusFacts:
    return corpus.model_copy(update={"source": without_folders(corpus.source)})


def _titles(result: Result, *, test: bool = False) -> str:
    """Return titles of the corpora that it was trained on, or of the one for the ``test`` alone, if there is one.

    Where titles are not known: names.
    """
    test_corpus = result.protocol.test_corpus
    titles = [corpus.title for corpus in result.corpora if (corpus.name == test_corpus) == test]
    return " + ".join(titles) or (test_corpus or "" if test else result.protocol.corpus)


def _estimates(run: FinishedRun) -> tuple[NDArray, dict[str, Estimate]]:
    """Return the sums of each speaker (S, ...), and the scores by name, with intervals over speakers."""
    task = run.result.predicts
    speakers = np.unique(np.asarray(run.speakers), return_inverse=True)[1]
    sums = task.sums_by_speaker(run.truth, run.predicted, speakers, int(speakers.max()) + 1)
    estimates = bootstrap.interval(sums[:, None], task.group_scores)
    return sums, dict(zip(task.score_names, estimates, strict=True))


def _of_numbers(run: FinishedRun) -> dict[str, Any]:
    """Return the scores of numbers, a row for each target, and what guessing gets."""
    result = run.result
    assert isinstance(result, RegressionResult)
    sums, estimates = _estimates(run)
    scores = result.metrics.test.targets
    return {
        "n_clips": len(run.ids),
        "n_speakers": len(sums),
        "targets": result.targets,
        "ranges": list(zip(result.targets, result.ranges or [None] * len(result.targets), strict=True)),
        **{name: estimate for name, estimate in estimates.items() if "." not in name},
        "rows": [(name, scores[name], estimates[f"ccc.{name}"]) for name in result.targets],
        "chance_mae": float(np.abs(run.truth - run.truth.mean(axis=0)).mean()),
    }


def _of_labels(run: FinishedRun) -> dict[str, Any]:
    """Return UAR, accuracy and a row for each label, and what guessing gets."""
    result = run.result
    assert isinstance(result, ClassificationResult)
    labels = result.labels
    counts, estimates = _estimates(run)  # (S, K, K)
    uar, accuracy, *recall = estimates.values()
    matrix = counts.sum(axis=0)  # (K, K)
    support = matrix.sum(axis=1)
    return {
        "n_clips": len(run.ids),
        "n_speakers": len(counts),
        "labels": labels,
        "calibration": result.calibration,
        "uar": uar,
        "accuracy": accuracy,
        "rows": [
            (label, estimate, int(row.sum()), confused_with(row.tolist(), number, labels))
            for number, (label, estimate, row) in enumerate(zip(labels, recall, matrix, strict=True))
        ],
        "chance_uar": 1 / int((support > 0).sum()),
        "chance_accuracy": float(support.max() / support.sum()),
    }


_OF_TASK = {"classification": _of_labels, "regression": _of_numbers}


def between_decimals(estimate: Estimate | None) -> str:
    """Write an interval of a number that is no share."""
    return Style(is_share=False).interval(estimate)


def between(bounds: Sequence[float] | None) -> Estimate | None:
    """Return the interval of a subgroup."""
    return estimate_of(0.0, bounds)


def _metadata(run: FinishedRun, title: str) -> dict[str, Any]:
    """Return what Hugging Face's hub reads; the licence is for whoever publishes to choose."""
    result = run.result
    test, encoder = result.metrics.test, result.model.pretrained
    name = encoder.name if encoder is not None else ""
    on_hub = name.count("/") == 1 and not Path(name).is_absolute() and not name.startswith(".")
    values: list[tuple[str, str, float | None]]
    if isinstance(test, Scores):
        values = [("recall", "UAR (macro recall)", test.uar), ("accuracy", "accuracy", test.accuracy)]
    else:
        values = [("ccc", "CCC", test.ccc), ("mae", "mean absolute error", test.mae)]
    measured = [
        {"type": kind, "name": f"test {title}", "value": round(value, 4)}
        for kind, title, value in values
        if value is not None
    ]
    tested_on = _titles(result, test=True) or _titles(result)  # the hub shows what the numbers were measured on
    dataset = {"name": tested_on, "type": result.protocol.test_corpus or result.protocol.corpus}
    task = {"type": "audio-classification", "name": "Speech emotion recognition"}
    return {
        "license": "other",
        "library_name": "ser_lightning",
        "pipeline_tag": "audio-classification",
        "tags": ["audio-classification", "speech-emotion-recognition"],
        "metrics": [metric["type"] for metric in measured],
        **({"base_model": name} if on_hub else {}),
        "model-index": [
            {"name": title, "results": [{"task": task, "dataset": dataset, "metrics": measured}]},
        ],
    }
