"""Hold what a comparison of runs says: plain values, made by `compare`, shown by tables and the page.

Scores are by the names that the task has for its metrics, the headline first. Shares lie between 0 and 1.
K: labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.tasks.task import Task

ALL_PAIRS_TESTED_UP_TO = 25  # groups; of more, each is tested against the first alone
ALL_PAIRS_SHOWN_UP_TO = 8  # in tables


@dataclass(frozen=True, kw_only=True)
class Run:
    """One finished run.

    ``scores`` are of its test fold, ``val_headline`` of its validation set (None without one).
    ``minutes`` were spent training. Of ``trained`` epochs, the weights of epoch ``best`` were tested.
    ``history`` has a list for each of epoch, train/loss, val/loss and the other metrics, as far as known; an entry
    is None where it was not measured.
    """

    path: str
    seed: int
    fold: str
    scores: Mapping[str, float | None]
    val_headline: float | None
    minutes: float | None
    trained: int
    best: int
    history: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in fold and seed alone, their folds pooled: every test clip counts once a seed.

    ``name`` is the model's, with whatever else it takes to tell the groups of a comparison apart.
    ``seeds`` and ``folds`` are those of its runs; ``incomplete`` names what a full grid of both would have beside
    them. ``scores`` have intervals over speakers, NaN where they have none; ``sds`` are over the seeds, None for a
    single one. ``by_output`` is the recall of each label that has clips, or the CCC of each target.
    ``confusion`` (K, K) counts clips, rows the true label, summed over seeds; of numbers there is none.
    ``by_speaker`` is each speaker's share of clips that were recognised, or CCC, mean over seeds. Where folds test
    the same clips, every run is a repetition as a seed is.
    ``minutes`` is a run's mean. ``differs`` has the settings that are not those of the comparison's first group, as
    (the first group's, this one's), by dotted name. ``reference``: it ships with the package.
    """

    name: str
    model: str
    runs: Sequence[Run]
    seeds: Sequence[int]
    folds: Sequence[str]
    incomplete: Sequence[str]
    n_clips: int
    n_speakers: int
    scores: Mapping[str, Estimate]
    sds: Mapping[str, float | None]
    by_output: Mapping[str, Estimate]
    confusion: Sequence[Sequence[int]] | None
    by_speaker: Mapping[str, float]
    parameters: int | None
    minutes: float | None
    differs: Mapping[str, tuple[Any, Any]]
    reference: bool = False

    @property
    def headline(self) -> Estimate:
        """Return the score that groups are ranked by."""
        return next(iter(self.scores.values()))

    @property
    def headline_sd(self) -> float | None:
        """Return its standard deviation over the seeds."""
        return next(iter(self.sds.values()))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two groups on the clips and seeds that both were tested with.

    ``difference``: the headline of ``first`` minus that of ``second``, its interval over speakers.
    ``permutation_p``: of the paired permutation test over speakers; ``mcnemar_p``: of McNemar's over clips, of
    which ``only_first`` and ``only_second`` were recognised by that one alone; None of numbers. Both corrected by
    Holm's method over all pairs in ``permutation_holm_p`` and ``mcnemar_holm_p``.
    ``smallest_p``: what ``permutation_p`` could be at the least with so many speakers.
    ``effect_size``: Cohen's d of what each speaker adds to ``difference``, NaN where that does not vary.
    """

    first: str
    second: str
    n_clips: int
    n_speakers: int
    difference: Estimate
    permutation_p: float
    permutation_holm_p: float
    only_first: float | None
    only_second: float | None
    mcnemar_p: float | None
    mcnemar_holm_p: float | None
    smallest_p: float
    effect_size: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Groups under one protocol, the best first, and every pair of them; of very many, each with the first.

    ``task``: what all of them predict. ``protocol``: corpus, split, label_source, selection and what else the
    results hold for, readable text by name.
    ``failed``: directory and reason of runs that did not finish. ``warnings``: what a reader must know, a line
    each.
    ``annotators``: their UAR on the same clips, where known.
    """

    task: Task
    protocol: Mapping[str, str]
    groups: Sequence[Group]
    pairs: Sequence[Pair]
    failed: Sequence[tuple[str, str]]
    warnings: Sequence[str]
    speaker_independent: bool
    synthetic: bool
    annotators: float | None = None
