"""Compare many runs, protocol by protocol: groups with their scores and intervals, and pairwise tests.

S: speakers.  R: repetitions.  V: scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite, nan
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ser_lightning.compare import grid
from ser_lightning.compare.comparison import Comparison, Group, Run
from ser_lightning.compare.groups import by_importance, by_model
from ser_lightning.compare.one_model import recorded, settings
from ser_lightning.compare.pairwise_tests import make_pairs
from ser_lightning.compare.protocol import readable, sections
from ser_lightning.compare.read import RunsRead
from ser_lightning.compare.speaker_counts import Clips
from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.evaluation import bootstrap
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report.data_warnings import data_warnings
from ser_lightning.report.leakage import SHARED
from ser_lightning.runs.finished import FinishedRun
from ser_lightning.utils.errors import some
from ser_lightning.utils.nested import differing


def compare(read: RunsRead, *, separate: bool = False) -> list[Comparison]:
    """Return one comparison of the runs, or with ``separate`` one for each protocol.

    Raises: UserError where runs of several protocols are not to be separate, or disagree about their clips.
    """
    return [_compare_section(runs, read.failed) for runs in sections(read.runs, separate=separate)]


def _compare_section(runs: Sequence[FinishedRun], failed: Sequence[tuple[str, str]]) -> Comparison:
    """Return the comparison of runs under one protocol."""
    clips = Clips(runs)
    cells: dict[str, grid.Runs] = {}
    repeats: list[str] = []
    for name, runs_of_group in by_model(runs).items():
        cells[name], warnings = grid.without_repeats(name, runs_of_group)
        repeats += warnings
    groups = [_group(name, runs_of_group, clips) for name, runs_of_group in cells.items()]
    groups.sort(key=lambda group: (-group.headline.value if isfinite(group.headline.value) else inf, group.name))
    ranked = {group.name: cells[group.name] for group in groups}
    pairs, remarks = make_pairs(ranked, clips)
    return Comparison(
        protocol=readable(runs),
        task=clips.task,
        groups=_with_differences(groups, ranked),
        pairs=pairs,
        failed=tuple(failed),
        warnings=(*_caveats(ranked, clips), *repeats, *grid.gaps(ranked, same_clips=clips.overlap), *remarks),
        speaker_independent=all(run.result.protocol.speaker_independent for run in runs),
        synthetic=any(run.result.synthetic for run in runs),
        annotators=_annotators(runs),
    )


def _group(name: str, runs: grid.Runs, clips: Clips) -> Group:
    """Score a group: all its clips pooled, with intervals over speakers and deviations over repetitions."""
    task, pooled = clips.task, clips.pooled(runs)  # (S, R, ...)
    is_tested = task.n_clips(pooled) > 0  # (S,)
    sums = pooled[is_tested]
    estimates = dict(zip(task.score_names, bootstrap.interval(sums, task.group_scores), strict=True))
    without_interval = task.scores_without_interval(sums.sum(axis=0))
    scores = {name: estimate for name, estimate in estimates.items() if "." not in name}
    by_repetition = task.group_scores(np.moveaxis(sums.sum(axis=0)[None], 1, 0))  # (R, V)
    first = next(iter(runs.values()))
    shown = [_run(run) for run in runs.values()]
    minutes = [run.minutes for run in shown if run.minutes is not None]
    shares = task.speaker_scores(sums)  # (S,)
    speakers = [speaker for speaker, tested in zip(clips.speakers, is_tested, strict=True) if tested]
    return Group(
        name=name,
        model=first.model,
        runs=shown,
        seeds=grid.seeds(runs),
        folds=grid.folds(runs),
        incomplete=[grid.say([cell]) for cell in grid.incomplete(runs)],
        n_clips=len({clip for run in runs.values() for clip in run.ids}),
        n_speakers=len(speakers),
        scores=scores | {name: Estimate(value, nan, nan) for name, value in without_interval.items()},
        sds={
            name: stdev(values) if len(values) > 1 else None
            for name, values in zip(scores, by_repetition.T.tolist(), strict=False)
        },
        by_output={
            name.partition(".")[2]: estimate
            for name, estimate in estimates.items()
            if "." in name and np.isfinite(estimate.value)
        },
        confusion=task.confusion(sums.sum(axis=(0, 1))),
        by_speaker=dict(zip(speakers, shares.tolist(), strict=True)),
        parameters=first.result.model.parameters,
        minutes=fmean(minutes) if minutes else None,
        differs={},
        reference=grid.is_reference(runs),
    )


def _run(run: FinishedRun) -> Run:
    """Return what a comparison shows of a run."""
    result = run.result
    test, val = result.metrics.test, result.metrics.val
    trained_s = result.throughput.train_s if result.throughput is not None else None
    return Run(
        path=str(run.path),
        seed=run.seed,
        fold=run.fold,
        scores={name: getattr(test, name) for name in result.predicts.metrics if name != "loss"},
        val_headline=getattr(val, result.predicts.headline, None),
        minutes=trained_s / 60 if trained_s is not None else None,
        trained=result.epochs.trained,
        best=result.epochs.best,
        history=result.history,
    )


def _with_differences(groups: Sequence[Group], runs: Mapping[str, grid.Runs]) -> list[Group]:
    """Return the groups, each with the settings in which it differs from the first."""
    firsts = [next(iter(runs[group.name].values())) for group in groups]
    by_group: list[Mapping[str, Any]] = [settings(first) for first in firsts]
    with_differences = []
    for group, first, own in zip(groups, firsts, by_group, strict=True):
        values = differing([by_group[0], own]) or differing([recorded(firsts[0]), recorded(first)])
        ordered = {name: (values[name][0], values[name][1]) for name in by_importance(values)}
        with_differences.append(replace(group, differs=ordered))
    return with_differences


def _caveats(groups: Mapping[str, grid.Runs], clips: Clips) -> Iterator[str]:
    """Yield what a reader must know of the groups' numbers."""
    named = [(name, run) for name, cells in groups.items() for run in cells.values()]
    runs = [run for _, run in named]
    if any(run.result.synthetic for run in runs):
        yield SYNTHETIC
    if not all(run.result.protocol.speaker_independent for run in runs):
        yield SHARED
    for name, contamination in dict.fromkeys((name, run.result.contamination) for name, run in named):
        if contamination:
            yield f"{name}: {contamination}"
    odd: dict[str, dict[str, None]] = {}  # a line of data warnings -> the groups that it is about
    for name, run in named:
        for line in data_warnings(run.result.warnings):
            odd.setdefault(line, {})[name] = None
    for line, names in odd.items():
        yield f"data: {line}" if len(names) == len(groups) else f"data of {some([*names])}: {line}"
    if clips.overlap:
        yield "folds test the same clips: every run counts as a repetition, as a seed does"
    if len(clips.speakers) == 1:
        yield "all clips are of one speaker: intervals and tests say nothing"


def _annotators(runs: Sequence[FinishedRun]) -> float | None:
    """Return the UAR of single annotators, else of most, mean over folds by clips.

    None if it is not known of a fold, or runs say different things of one: their votes are others.
    """
    by_fold = {run.fold: run.result for run in runs}
    for annotators in ("single", "majority"):
        agreements = [(run.fold, getattr(run.result.annotators, annotators, None)) for run in runs]
        uars = {(fold, round(agreement.uar, 4)) for fold, agreement in agreements if agreement is not None}
        if len(uars) > len({fold for fold, _ in uars}):
            return None
        of_folds = [getattr(result.annotators, annotators, None) for result in by_fold.values()]
        known = [agreement.uar for agreement in of_folds if agreement is not None]
        if len(known) == len(by_fold):
            weights = [result.n_tested for result in by_fold.values()]
            return float(np.average(known, weights=weights))
    return None
