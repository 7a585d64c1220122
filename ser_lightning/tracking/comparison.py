"""Log a comparison to Weights & Biases as a run of its own, of job type ``compare``.

Like every run here it is offline by default, asks for no login, and whatever goes wrong with it is a warning.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ser_lightning.compare.comparison import Comparison, Group
from ser_lightning.report.protocol import corpora
from ser_lightning.report.table_cells import plain
from ser_lightning.tracking import run as wandb_run

PLACE = Path("outputs/compare")
_MOST_MATRICES = 30  # of the best groups

_log = logging.getLogger(__name__)
_PAIR = ("first", "second", "difference", "low", "high")
_TESTS = ("p_speakers", "p_speakers_holm", "p_clips", "p_clips_holm", "d")


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
        if not any(run_dir.iterdir()):
            run_dir.rmdir()
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


def _charts(comparison: Comparison) -> dict[str, Any]:
    """Return the tables of groups and pairs, and a confusion matrix of each of the best groups."""
    import wandb

    groups = [_group_row(rank, group) for rank, group in enumerate(comparison.groups, start=1)]
    pairs = []
    for pair in comparison.pairs:
        difference = (pair.difference.value, pair.difference.low, pair.difference.high)
        p_values = (pair.permutation_p, pair.permutation_holm_p, pair.mcnemar_p, pair.mcnemar_holm_p)
        pairs.append([pair.first, pair.second, *difference, *p_values, pair.effect_size])
    matrices = {
        f"confusion/{plain(group.name)}": _confusion(comparison, group, group.confusion)
        for group in comparison.groups[:_MOST_MATRICES]
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


def _group_row(rank: int, group: Group) -> dict[str, Any]:
    """Return a group's scores, the headline with its interval, and what was run."""
    row: dict[str, Any] = {"rank": rank, "name": group.name, "model": group.model}
    for number, (name, estimate) in enumerate(group.scores.items()):
        row[name] = estimate.value
        if number == 0:
            row |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        if name in group.sds:
            row[f"{name}_sd"] = group.sds[name]
    return row | {
        "folds": " ".join(group.folds),
        "seeds": " ".join(map(str, group.seeds)),
        "clips": group.n_clips,
        "speakers": group.n_speakers,
        "parameters": group.parameters,
        "minutes": group.minutes,
    }


def _summary(comparison: Comparison) -> dict[str, Any]:
    """Return the row of W&B's table of runs: the best group, and the headline of each."""
    best = comparison.groups[0]
    headline = comparison.task.headline
    scores = {f"{headline}/{group.name}": group.headline.value for group in comparison.groups}
    return {"best": best.name, "n_groups": len(comparison.groups), "synthetic": comparison.synthetic, **scores}
