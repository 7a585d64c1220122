"""Compares speakers by the embeddings of their clips: one person under two names, two people under one.

An embedding is centred, freed of the average effect of its emotion, and multiplied by the inverse root of the
covariance within speakers (within-class covariance normalisation: Hatch, Kajarekar and Stolcke, Interspeech 2006).
Two sets of clips are compared by the cosine of their means, corrected for the noise of means over few clips: sets
of one speaker scatter around 1, however many clips there are. Every limit comes from the speakers that are
compared, through medians, which the few that are looked for hardly move.

N: clips.  D: width of an embedding.  S: speakers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.stats import norm

LEAST_SPEAKERS = 10
LEAST_S = 60.0  # of speech, of a speaker
LEAST_CLIPS = 10  # of a speaker
_SHRINKAGE = 1 / 3  # of the covariance within speakers, towards a sphere
_DRAWS = 1_000  # of random halves, at least, over all speakers
_DEVIATIONS = 5  # robust standard deviations below the median of random halves: their tail is a long one
_LEAST_DEVIATIONS = 1  # the same, for what different speakers must stay below: else nothing is said
_GROUP_DEVIATIONS = 4  # the same for the two groups that a speaker's clips fall into
_LEAST_SHARE = 0.1  # of a speaker's clips that are in the smaller group
_NEAREST = 3  # pairs that are named although they are no more alike than different speakers are


@dataclass(frozen=True, kw_only=True)
class SpeakerPair:
    """Two speakers, how alike they are, and what random parts of one, of as many clips, seldom fall below.

    That one is a usual speaker, or the two taken as one, where these vary more than a usual speaker does.
    """

    speakers: tuple[str, str]
    similarity: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class SpeakerGroups:
    """A speaker whose clips fall into two groups, how alike these are, and how many clips each has."""

    speaker: str
    similarity: float
    n_clips: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class SpeakerSimilarity:
    """How alike speakers are, against random halves of the clips of one.

    Attributes:
        speakers: those that are compared; the others have too little speech.
        not_compared: the others.
        silent: ids of clips that are left out.
        cannot_tell: why nothing can be said; everything below is then empty.
        halves, different: lowest, median and highest similarity of random halves of a speaker, and of pairs.
        different_limit: what the most alike of so many pairs of different speakers seldom passes.
        halves_limit: what random halves of a speaker seldom fall below, ``different_limit`` at least.
        same_person: pairs as alike as halves of one speaker, the most alike first.
        alike: other pairs that are more alike than ``different_limit``.
        nearest: the most alike of all others.
        groups_limit: what the two groups of a speaker's clips seldom fall below.
        two_people: speakers whose groups do.
    """

    speakers: tuple[str, ...]
    not_compared: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    cannot_tell: str = ""
    halves: tuple[float, float, float] | None = None
    different: tuple[float, float, float] | None = None
    halves_limit: float | None = None
    different_limit: float | None = None
    same_person: tuple[SpeakerPair, ...] = ()
    alike: tuple[SpeakerPair, ...] = ()
    nearest: tuple[SpeakerPair, ...] = ()
    groups_limit: float | None = None
    two_people: tuple[SpeakerGroups, ...] = ()


def compare_speakers(
    embeddings: np.ndarray,
    *,
    speakers: Sequence[str],
    emotions: Sequence[str],
    durations_s: Sequence[float],
    silent: Sequence[str] = (),
) -> SpeakerSimilarity:
    """Compare all speakers of clips with ``embeddings`` (N, D). ``silent``: ids of clips that have none."""
    names, speaker_of = np.unique(np.asarray(speakers, dtype=str), return_inverse=True)
    speech_s = np.bincount(speaker_of, weights=durations_s)
    enough = (speech_s >= LEAST_S) & (np.bincount(speaker_of) >= LEAST_CLIPS)
    base = SpeakerSimilarity(
        speakers=tuple(names[enough].tolist()),
        not_compared=tuple(names[~enough].tolist()),
        silent=tuple(silent),
    )
    if enough.sum() < LEAST_SPEAKERS:
        needed = f"{LEAST_SPEAKERS} speakers with {LEAST_S:.0f} s and {LEAST_CLIPS} clips each are needed"
        return replace(base, cannot_tell=f"{needed}, and {enough.sum()} have as much")
    kept = enough[speaker_of]
    number = (np.cumsum(enough) - 1)[speaker_of[kept]]  # of each kept clip's speaker among those compared
    clips = _Clips(embeddings[kept].astype(np.float64), np.asarray(emotions, dtype=str)[kept], number)
    compared = _compare_pairs(base, clips)
    return compared if compared.cannot_tell else _compare_groups(compared, clips)


@dataclass(frozen=True, eq=False)
class _Clips:
    """Clips of speakers that are compared: embeddings (N, D), emotions (N,), the number of the speaker (N,)."""

    embeddings: np.ndarray
    emotions: np.ndarray
    speaker_of: np.ndarray

    @cached_property
    def residuals(self) -> np.ndarray:
        """Return embeddings less what clips of their emotion differ by, on average, from their speaker's mean."""
        deviations = self.embeddings - _means(self.embeddings, self.speaker_of)[self.speaker_of]
        _, emotion_of = np.unique(self.emotions, return_inverse=True)
        return self.embeddings - _means(deviations, emotion_of)[emotion_of]

    def normalised(self, *, without: int = -1) -> np.ndarray:
        """Normalise all by what the speakers, one of them left out, vary by and are around, (N, D)."""
        means = _means(self.residuals, self.speaker_of)
        used = self.speaker_of != without
        deviations = (self.residuals - means[self.speaker_of])[used]
        covariance = deviations.T @ deviations / len(deviations)
        variance = np.trace(covariance) / len(covariance)
        shrunk = (1 - _SHRINKAGE) * covariance + (_SHRINKAGE * variance + 1e-12) * np.eye(len(covariance))
        centre = means[np.arange(len(means)) != without].mean(0)
        rows = np.ones_like(used) if without < 0 else ~used
        return solve_triangular(cholesky(shrunk, lower=True), (self.residuals[rows] - centre).T, lower=True).T

    def as_one(self, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the clips of two speakers, normalised as if both were one."""
        _, merged = np.unique(np.where(self.speaker_of == pair[1], pair[0], self.speaker_of), return_inverse=True)
        normalised = replace(self, speaker_of=merged).normalised()
        return normalised[self.speaker_of == pair[0]], normalised[self.speaker_of == pair[1]]


def _compare_pairs(base: SpeakerSimilarity, all_clips: _Clips) -> SpeakerSimilarity:
    """Add how alike random halves and pairs of speakers are, and which pairs may be one person."""
    normalised = all_clips.normalised()
    clips = [normalised[all_clips.speaker_of == number] for number in range(len(base.speakers))]
    numbers = combinations(range(len(clips)), 2)
    similarities = {pair: similarity(clips[pair[0]], clips[pair[1]]) for pair in numbers}
    halves, different = _random_parts(clips), np.array(list(similarities.values()))
    if np.isnan(halves).all() or np.isnan(different).all():
        return replace(base, cannot_tell="the means of their embeddings are no more than noise")
    different_limit = _highest_by_chance(different, len(clips))
    base = replace(
        base,
        halves=_spread(halves),
        different=_spread(different),
        halves_limit=round(max(_low(halves, _DEVIATIONS), different_limit), 4),
        different_limit=round(different_limit, 4),
    )
    if not different_limit < _low(halves, _LEAST_DEVIATIONS):
        return replace(base, cannot_tell="different speakers are about as alike as random halves of one")

    def described(pair: tuple[int, int], alike: float, limit: float) -> SpeakerPair:
        names = base.speakers[pair[0]], base.speakers[pair[1]]
        return SpeakerPair(speakers=names, similarity=round(alike, 4), limit=round(limit, 4))

    pairs = sorted(similarities, key=lambda pair: -np.nan_to_num(similarities[pair], nan=-1))
    n_close = sum(value > different_limit for value in similarities.values())
    tested = []
    for pair in pairs[:n_close]:  # as if they were one: normalised as two, they are less alike than parts of one
        one, other = all_clips.as_one(pair)
        sizes = sorted((len(one), len(other)))
        draws = _random_parts([np.concatenate([one, other])], *sizes), _random_parts(clips, *sizes)
        limit = max(min(_low(parts, _DEVIATIONS) for parts in draws), different_limit)
        tested.append(described(pair, similarity(one, other), limit))
    others = pairs[n_close : n_close + _NEAREST]
    return replace(
        base,
        same_person=tuple(pair for pair in tested if pair.similarity >= pair.limit),
        alike=tuple(pair for pair in tested if pair.similarity < pair.limit),
        nearest=tuple(described(pair, similarities[pair], base.halves_limit or 0) for pair in others),
    )


def _compare_groups(base: SpeakerSimilarity, clips: _Clips) -> SpeakerSimilarity:
    """Add which speakers' clips fall into two groups less alike than those of the others.

    Each speaker is normalised by the others alone: what tells two people under one name would be divided out.
    """
    groups = [_groups(name, clips.normalised(without=number)) for number, name in enumerate(base.speakers)]
    limit = math.tanh(_low(_fisher_z([speaker.similarity for speaker in groups]), _GROUP_DEVIATIONS))
    two_people = [
        speaker
        for speaker in groups
        if speaker.similarity < limit and min(speaker.n_clips) >= _LEAST_SHARE * sum(speaker.n_clips)
    ]
    two_people.sort(key=lambda speaker: speaker.similarity)
    return replace(base, groups_limit=round(limit, 4), two_people=tuple(two_people))


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Return the cosine between what the means of (N, D) and (N', D) estimate; NaN where one is all noise.

    A mean over N clips is longer than what it estimates by the noise of the clips over N, which lowers the cosine
    of small sets; the products of different clips of a set, averaged, have no such noise.
    """
    power = _noiseless_power(one) * _noiseless_power(other)
    return float(one.mean(0) @ other.mean(0) / math.sqrt(power)) if power > 0 else math.nan


def _noiseless_power(clips: np.ndarray) -> float:
    """Return the squared length of what the mean of clips (N, D) estimates; 0 where chance makes it negative."""
    n, total = len(clips), clips.sum(0)
    return max(float(total @ total - np.square(clips).sum()) / (n * (n - 1)), 0.0)


def _means(embeddings: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    """Return the mean of each group, (groups, D)."""
    return np.stack([embeddings[group_of == group].mean(0) for group in range(group_of.max() + 1)])


def _random_parts(clips: Sequence[np.ndarray], n_one: int | None = None, n_other: int | None = None) -> np.ndarray:
    """Return similarities of two random parts of each speaker's clips: halves, or at most so many clips."""
    random = np.random.default_rng(0)
    similarities = []
    for _ in range(math.ceil(_DRAWS / len(clips))):
        for of_speaker in clips:
            n = len(of_speaker)
            shuffled = random.permutation(of_speaker)
            border = min(n // 2, n_one or n)
            end = min(n, border + (n_other or n))
            similarities.append(similarity(shuffled[:border], shuffled[border:end]))
    return np.array(similarities)


def _groups(speaker: str, clips: np.ndarray) -> SpeakerGroups:
    """Cut a speaker's clips (N, D) in two by 2-means, begun at the first principal component."""
    centred = clips - clips.mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[2][0] @ centred.T > 0
    for _ in range(20):
        if min(first.sum(), (~first).sum()) < 2:
            break
        middles = clips[first].mean(0), clips[~first].mean(0)
        nearer = np.square(clips - middles[0]).sum(1) < np.square(clips - middles[1]).sum(1)
        if (nearer == first).all():
            break
        first = nearer
    sizes = int(first.sum()), int((~first).sum())
    alike = similarity(clips[first], clips[~first]) if min(sizes) >= 2 else math.nan
    return SpeakerGroups(speaker=speaker, similarity=round(alike, 4), n_clips=(max(sizes), min(sizes)))


def _low(values: np.ndarray, deviations: float) -> float:
    """Return what lies so many robust standard deviations below the median; NaN counts as no value."""
    middle = np.nanmedian(values)
    return float(middle - deviations * 1.4826 * np.nanmedian(np.abs(values - middle)))


def _highest_by_chance(similarities: np.ndarray, n_speakers: int) -> float:
    """Return the similarity that the highest of so many pairs of speakers exceeds by chance in 5 % of cases.

    The upper half of Fisher's z of the similarities is taken to be normal. Its width is measured below the top
    pairs, as many of which could be one person under two names.
    """
    z = _fisher_z(similarities)
    above = (n_speakers / 2 + 1) / len(z)
    middle, high = np.nanquantile(z, [0.5, 1 - above])
    return math.tanh(middle + (high - middle) / norm.isf(above) * norm.isf(0.05 / len(z)))


def _fisher_z(similarities: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.arctanh(np.clip(similarities, -0.999, 0.999))


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    """Return the lowest, the median and the highest value; NaN counts as none."""
    low, middle, high = np.nanquantile(values, [0, 0.5, 1]).round(4).tolist()
    return low, middle, high
