"""Weights & Biases: a comparison as a run of its own, of job type ``compare``.

Like every run here it is offline by default, asks for no login, and whatever goes wrong with it is a warning.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ser_lightning.compare.comparison import Comparison, Group, Pair
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.protocol import corpora
from ser_lightning.report.table_cells import plain
from ser_lightning.tracking import run as wandb_run

PLACE = Path("outputs/compare")
_MOST_MATRICES = 30  # of the best groups

_log = logging.getLogger(__name__)
_SIZE = ("folds", "seeds", "clips", "speakers", "parameters", "minutes")
_TESTS = ("p_speakers", "p_speakers_holm", "p_clips", "p_clips_holm", "d")
_PAIR = ("first", "second", "difference", "low", "high")


def log_comparisons(comparisons: Sequence[Comparison], place: Path = PLACE) -> Path | None:
    """Log the tables, the pooled confusion matrices and the scores, into ``place/<date-time>``.

    Returns: that directory; None where W&B is disabled or does not work, which is a logged warning.
    Raises: ValueError for a WANDB_MODE that there is not.
    """
    run_dir = place / f"{datetime.now():%Y-%m-%d_%H-%M-%S.%f}"
    try:
        run_dir.mkdir(parents=True)
    except OSError as error:
        _log.warning("W&B has no place to write to: %s: %s", error.strerror, run_dir)
        return None
    protocols = {str(number): dict(comparison.protocol) for number, comparison in enumerate(comparisons)}
    logger = wandb_run.wandb_logger(
        run_dir=run_dir,
        config={"protocol": protocols["0"] if len(protocols) == 1 else protocols},
        job_type="compare",
        name=f"compare-{run_dir.name}",
        tags=[*dict.fromkeys(corpora(comparison.protocol) for comparison in comparisons)],
    )
    run = None if logger is None else logger.wait()
    if run is None:
        _remove_empty(run_dir)
        return None
    try:
        for number, comparison in enumerate(comparisons):
            prefix = f"{number}/" if len(comparisons) > 1 else ""
            run.log({f"{prefix}{name}": chart for name, chart in _charts(comparison).items()})
            run.summary.update({f"{prefix}{name}": value for name, value in _summary(comparison).items()})
    except Exception as error:
        _log.warning("the comparison was not logged to W&B: %s: %s", type(error).__name__, error)
        return None
    finally:
        wandb_run.finish()
    return run_dir


def _remove_empty(run_dir: Path) -> None:
    if not any(run_dir.iterdir()):
        run_dir.rmdir()


def _charts(comparison: Comparison) -> dict[str, Any]:
    import wandb

    groups = [
        {"rank": rank, "name": group.name, "model": group.model, **_scores(group), **_size(group)}
        for rank, group in enumerate(comparison.groups, start=1)
    ]
    pairs = [_pair_row(pair) for pair in comparison.pairs]
    best = comparison.groups[:_MOST_MATRICES]
    matrices = {
        f"confusion/{plain(group.name)}": _confusion(comparison, group, group.confusion)
        for group in best
        if group.confusion is not None
    }
    return {
        "groups": wandb.Table(columns=list(groups[0]), data=[list(row.values()) for row in groups]),
        "pairs": wandb.Table(columns=[*_PAIR, *_TESTS], data=pairs),
        **matrices,
    }


def _confusion(comparison: Comparison, group: Group, matrix: Sequence[Sequence[int]]) -> Any:
    """Return W&B's own chart of a confusion matrix, of counts that are there already."""
    import wandb

    labels = comparison.task.outputs
    columns = ("Actual", "Predicted", "nPredictions")
    cells = [
        [true, guess, count]
        for true, row in zip(labels, matrix, strict=True)
        for guess, count in zip(labels, row, strict=True)
    ]
    return wandb.plot_table(
        data_table=wandb.Table(columns=[*columns], data=cells),
        vega_spec_name="wandb/confusion_matrix/v1",
        fields={name: name for name in columns},
        string_fields={"title": f"{group.name}, folds and seeds pooled"},
    )


def _scores(group: Group) -> dict[str, Any]:
    """Return the headline with its interval, and the other scores; standard deviations where there are such."""
    row: dict[str, Any] = {}
    for number, (name, estimate) in enumerate(group.scores.items()):
        row[name] = estimate.value
        if number == 0:
            row |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        if name in group.sds:
            row[f"{name}_sd"] = group.sds[name]
    return row


def _size(group: Group) -> dict[str, Any]:
    grid = (" ".join(group.folds), " ".join(map(str, group.seeds)), group.n_clips, group.n_speakers)
    return dict(zip(_SIZE, (*grid, group.parameters, group.minutes), strict=True))


def _pair_row(pair: Pair) -> list[Any]:
    by_speaker = [pair.permutation_p, pair.permutation_holm_p]
    by_clip = [pair.mcnemar_p, pair.mcnemar_holm_p]
    return [pair.first, pair.second, *_numbers(pair.difference), *by_speaker, *by_clip, pair.effect_size]


def _numbers(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]


def _summary(comparison: Comparison) -> dict[str, Any]:
    best = comparison.groups[0]
    headline = comparison.task.headline
    scores = {f"{headline}/{group.name}": group.headline.value for group in comparison.groups}
    return {"best": best.name, "n_groups": len(comparison.groups), "synthetic": comparison.synthetic, **scores}
