"""Speaker normalisation: mean and variance of every mel bin over the clips of a speaker, shrunk towards a prior.

Features that are normalised by them show how somebody speaks now, against how they usually speak. No emotion label
is used. Schuller et al., "Cross-corpus acoustic emotion recognition: variances and strategies", IEEE Transactions
on Affective Computing 1(2), 2010, compare this to normalising by corpus, or not at all.

A speaker's own statistics are weighted with n / (n + k) after n clips, and the rest of the weight is on the typical
training speaker, as in a MAP estimate whose prior counts as k clips.

B: clips of a batch.  N: clips of a set.  S: speakers.  M: mel bins.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class ClipMoments(NamedTuple):
    """What statistics are estimated from: see `LogMel.moments`.

    ``moments`` (N, 2, M): mean and mean square of every mel bin over each clip's frames; ``frames`` (N,): how many.
    """

    moments: Tensor
    frames: Tensor


class SpeakerStatistics(nn.Module):
    """Mean and variance of every mel bin for the speaker of each clip.

    Training calls `fit` once: it estimates the typical speaker from the training speakers, and the statistics of
    every clip's speaker, which `look_up` then returns by row. Evaluation and inference take the typical speaker
    from the checkpoint and call `estimate` for the clips of other speakers, or `from_single_clips`.

    Args:
        n_mels: M.
        prior_clips: k, the number of clips with which a speaker's own statistics weigh as much as the typical ones.

    Attributes:
        typical: mean and variance of the typical training speaker, (2, M); the only part of a checkpoint.
    """

    def __init__(self, n_mels: int, *, prior_clips: float):
        super().__init__()
        self.prior_clips = prior_clips
        self.typical: Tensor
        self.register_buffer("typical", torch.tensor([[-40.0], [140.0]]).repeat(1, n_mels))
        self._by_clip: Tensor | None  # (N, 2, M)
        self._by_single_clip: Tensor | None  # (N, 2, M): from each clip as its speaker's only one
        self.register_buffer("_by_clip", None, persistent=False)
        self.register_buffer("_by_single_clip", None, persistent=False)

    def fit(
        self,
        clips: ClipMoments,
        *,
        training: Sequence[Sequence[int]],
        evaluated: Sequence[Sequence[int]],
        n_clips: int | None,
    ) -> None:
        """Estimate the typical speaker, then the statistics of every clip's speaker.

        Args:
            clips: of all clips of the data set.
            training: rows of the clips of each training speaker; their statistics come from all of these.
            evaluated: of each validation and test speaker, by part.
            n_clips: how many clips the statistics of an evaluated speaker come from, see `estimate`.
        """
        self.typical.copy_(pooled(clips, training).mean(0))
        self._by_single_clip = self.from_single_clips(clips)
        by_clip = self.estimate(clips, training, n_clips=None)
        rows = [row for speaker in evaluated for row in speaker]
        if rows:
            by_clip[rows] = self.estimate(clips, evaluated, n_clips=n_clips)[rows]
        self._by_clip = by_clip

    def look_up(self, rows: Tensor, *, single_clip_share: float | None = None) -> Tensor | None:
        """Return the fitted statistics (B, 2, M) of the speakers of these clips (B,); None before `fit`.

        ``single_clip_share``: for this share of the clips, at random, those from the clip alone.
        """
        if self._by_clip is None or self._by_single_clip is None:
            return None
        known, single = self._by_clip[rows], self._by_single_clip[rows]
        if single_clip_share is None:
            return known
        return torch.where(torch.rand(len(rows), 1, 1, device=known.device) < single_clip_share, single, known)

    def estimate(
        self, clips: ClipMoments, speakers: Sequence[Sequence[int]], *, n_clips: int | None, seed: int = 0
    ) -> Tensor:
        """Return the statistics of each clip's speaker, (N, 2, M), from the clip and others of that speaker.

        Args:
            clips: of all clips.
            speakers: rows of the clips of each speaker; rows of no speaker are left undefined in the result.
            n_clips: how many clips are used, the clip itself and others drawn at random; None for all.
            seed: of the draw.
        """
        if n_clips == 1:
            return self.from_single_clips(clips)
        random = torch.Generator().manual_seed(seed)
        groups: list[list[int]] = []  # rows that are pooled for the clips in `owners`, in the same order
        owners: list[list[int]] = []
        for rows in speakers:
            if n_clips is None or n_clips >= len(rows):
                groups.append(list(rows))
                owners.append(list(rows))
                continue
            for row in rows:
                others = [each for each in rows if each != row]
                drawn = torch.randperm(len(others), generator=random)[: n_clips - 1].tolist()
                groups.append([row, *(others[each] for each in drawn)])
                owners.append([row])
        counts = torch.tensor([len(rows) for rows in groups], device=clips.moments.device)
        by_clip = torch.empty_like(clips.moments)
        for owned, statistics in zip(owners, self.shrink(pooled(clips, groups), counts), strict=True):
            by_clip[owned] = statistics
        return by_clip

    def from_single_clips(self, clips: ClipMoments) -> Tensor:
        """Return the statistics (N, 2, M) of speakers of each of whom one clip is known."""
        return self.shrink(_mean_and_variance(clips.moments), torch.ones_like(clips.frames))

    def shrink(self, statistics: Tensor, n_clips: Tensor) -> Tensor:
        """Return statistics (S, 2, M) from ``n_clips`` (S,) clips each, drawn towards the typical speaker's."""
        share = (n_clips / (n_clips + self.prior_clips))[:, None, None]
        return share * statistics + (1 - share) * self.typical


def pooled(clips: ClipMoments, speakers: Sequence[Sequence[int]]) -> Tensor:
    """Return mean and variance (S, 2, M) over all frames of the clips in each speaker's rows."""
    means = []
    for rows in speakers:
        weight = clips.frames[list(rows)].to(clips.moments.dtype)[:, None, None]
        means.append((clips.moments[list(rows)] * weight).sum(0) / weight.sum())
    return _mean_and_variance(torch.stack(means))


def _mean_and_variance(moments: Tensor) -> Tensor:
    """Return mean and variance of mean and mean square, (…, 2, M) both."""
    mean, square = moments.unbind(-2)
    return torch.stack([mean, (square - mean.square()).clamp_min(0)], dim=-2)


def protocol_entry(n_clips: int | None) -> dict[str, int | str]:
    """Return what a result's protocol says where statistics come from more than the clip itself; None is all."""
    if n_clips == 1:
        return {}
    return {"speaker_clips": "all" if n_clips is None else n_clips}
