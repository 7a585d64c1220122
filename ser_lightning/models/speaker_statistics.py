"""Speaker normalisation: mean and variance of every feature over the clips of a speaker, shrunk towards a prior.

A feature is a mel bin, at every frame, or a statistic of a pretrained model's layers, once a clip.

Features that are normalised by them show how somebody speaks now, against how they usually speak. No emotion label
is used. Schuller et al., "Cross-corpus acoustic emotion recognition: variances and strategies", IEEE Transactions
on Affective Computing 1(2), 2010, compare this to normalising by corpus, or not at all.

A speaker's own statistics are weighted with n / (n + k) after n clips, and the rest of the weight is on the typical
training speaker, as in a MAP estimate whose prior counts as k clips.

B: clips of a batch.  N: clips of a set.  S: speakers.  G: groups of clips that statistics come from.  M: features.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ser_lightning.utils.errors import UserError


class ClipMoments(NamedTuple):
    """The moments of clips, from which statistics are estimated: see `LogMel.moments`.

    ``moments`` (N, 2, M): mean and mean square of every feature over each clip's frames; ``frames`` (N,): how many.
    """

    moments: Tensor
    frames: Tensor

    def of(self, rows: Sequence[int]) -> "ClipMoments":
        """Return the moments of the clips at these rows."""
        return ClipMoments(self.moments[list(rows)], self.frames[list(rows)])


class SomeMoments(Protocol):
    """Anything that returns the moments of some clips at a time."""

    def of(self, rows: Sequence[int]) -> ClipMoments:
        """Return the moments of the clips at these rows."""


class SpeakerStatistics(nn.Module):
    """Mean and variance of every feature for the speaker of each clip.

    Training calls `fit` once: it estimates the typical speaker from the training speakers, and the statistics of
    every clip's speaker, which `look_up` then returns by row. Evaluation and inference take the typical speaker
    from the checkpoint and call `estimate` for the clips of other speakers, or `from_single_clips`.

    Args:
        n_features: M.
        prior_clips: k, the number of clips with which a speaker's own statistics weigh as much as the typical ones.
        untrained: mean and variance of every feature before `fit`.

    Attributes:
        typical: mean and variance of the typical training speaker, (2, M); the only part of a checkpoint.
        alone_share: in training, this share of the clips, at random, has statistics from the clip alone.
    """

    def __init__(self, n_features: int, *, prior_clips: float, untrained: tuple[float, float] = (-40.0, 140.0)):
        super().__init__()
        self.prior_clips = prior_clips
        self.alone_share = 0.0
        self.typical: Tensor
        self.register_buffer("typical", torch.tensor(untrained)[:, None].repeat(1, n_features))
        # no buffers, of which callbacks.average_weights would average every number at every step
        self._by_group: Tensor | None = None  # (G, 2, M)
        self._group_of_clip: Tensor | None = None  # (N,); -1: the clip alone
        self._by_single_clip: Tensor | None = None  # (N, 2, M): from each clip as its speaker's only one

    def fit(
        self,
        clips: SomeMoments,
        *,
        training: Sequence[Sequence[int]],
        evaluated: Sequence[Sequence[int]],
        n_clips: int | None,
        is_loaded: bool = False,
    ) -> None:
        """Estimate the typical speaker, then the statistics of every clip's speaker.

        Args:
            clips: of all clips of the data set.
            training: rows of the clips of each training speaker; their statistics come from all of these.
            evaluated: of each validation and test speaker, by part.
            n_clips: how many clips the statistics of an evaluated speaker come from, see `estimate`.
            is_loaded: the typical speaker is that of a checkpoint, and stays.
        """
        if not is_loaded:
            self.typical.copy_(pooled(clips, training).mean(0))
        if isinstance(clips, ClipMoments):
            self._by_single_clip = self.from_single_clips(clips)
        self.place(clips, [(training, None), (evaluated, n_clips)])

    def place(self, clips: SomeMoments, parts: Sequence[tuple[Sequence[Sequence[int]], int | None]]) -> None:
        """Keep statistics for `look_up`: of ``speakers, n_clips`` of each part as `estimate` takes them."""
        n_rows = 1 + max((row for speakers, _ in parts for rows in speakers for row in rows), default=-1)
        group_of_clip = torch.full((n_rows,), -1)
        by_group: list[Tensor] = []
        n_groups = 0
        for speakers, n_clips in parts:
            groups, owners = _groups(speakers, n_clips) if n_clips != 1 else ([], [])
            for number, owned in enumerate(owners, n_groups):
                group_of_clip[owned] = number
            n_groups += len(groups)
            if groups:
                by_group.append(self._of_groups(clips, groups))
        self._by_group = torch.cat(by_group) if by_group else self.typical[None]
        self._group_of_clip = group_of_clip.to(self.typical.device)

    def look_up(self, rows: Tensor, alone: Tensor | None = None) -> Tensor | None:
        """Return the statistics (B, 2, M) of the speakers of these clips (B,); None before `fit` or `place`.

        ``alone`` (B, 2, M): those from each clip alone, where `fit` was given no `ClipMoments` to keep them from.
        """
        if alone is None and self._by_single_clip is not None:
            alone = self._by_single_clip[rows]
        if self._by_group is None or self._group_of_clip is None or alone is None:
            return None
        group = self._group_of_clip[rows]
        is_alone = group < 0
        if self.training:
            is_alone |= torch.rand(len(rows), device=rows.device) < self.alone_share
        return torch.where(is_alone[:, None, None], alone, self._by_group[group.clamp_min(0)])

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
        groups, owners = _groups(speakers, n_clips, seed)
        by_clip = torch.empty_like(clips.moments)
        for owned, statistics in zip(owners, self._of_groups(clips, groups), strict=True):
            by_clip[owned] = statistics
        return by_clip

    def _of_groups(self, clips: SomeMoments, groups: Sequence[Sequence[int]]) -> Tensor:
        """Return the statistics (G, 2, M) of speakers of whom these clips are known."""
        counts = torch.tensor([len(rows) for rows in groups], device=self.typical.device)
        return self.shrink(pooled(clips, groups), counts)

    def from_single_clips(self, clips: ClipMoments) -> Tensor:
        """Return the statistics (N, 2, M) of speakers of each of whom one clip is known."""
        return self.shrink(_mean_and_variance(clips.moments), torch.ones_like(clips.frames))

    def shrink(self, statistics: Tensor, n_clips: Tensor) -> Tensor:
        """Return statistics (S, 2, M) from ``n_clips`` (S,) clips each, drawn towards the typical speaker's."""
        share = (n_clips / (n_clips + self.prior_clips))[:, None, None]
        return share * statistics + (1 - share) * self.typical


def normaliser(frontend: nn.Module, net: nn.Module) -> Any:
    """Return which of the two has ``speaker_statistics``, and normalises by speaker; None where neither does."""
    return next((part for part in (frontend, net) if getattr(part, "speaker_statistics", None) is not None), None)


def pooled(clips: SomeMoments, speakers: Sequence[Sequence[int]]) -> Tensor:
    """Return mean and variance (S, 2, M) over all frames of the clips in each speaker's rows."""
    means = []
    for rows in speakers:
        of_speaker = clips.of(rows)
        weight = of_speaker.frames.to(of_speaker.moments.dtype)[:, None, None]
        means.append((of_speaker.moments * weight).sum(0) / weight.sum())
    return _mean_and_variance(torch.stack(means))


def moments_of_set(
    moments: Callable[[Tensor, Tensor], ClipMoments],
    batches: Iterable[tuple[list[int], Tensor, Tensor]],
    *,
    n_clips: int,
    device: torch.device,
) -> ClipMoments:
    """Return the moments of a set of N clips from batches of rows, waveforms (B, T) and lengths (B,).

    They are on the device, and 0 for clips that are in no batch.
    """
    with torch.inference_mode():
        of_batches = [(rows, moments(wave.to(device), lengths.to(device))) for rows, wave, lengths in batches]
        all_rows = [row for rows, _ in of_batches for row in rows]
        shape = of_batches[0][1].moments.shape[1:]
        of_set = ClipMoments(
            torch.zeros(n_clips, *shape, device=device), torch.zeros(n_clips, dtype=torch.int64, device=device)
        )
        of_set.moments[all_rows] = torch.cat([batch.moments for _, batch in of_batches])
        of_set.frames[all_rows] = torch.cat([batch.frames for _, batch in of_batches])
    return of_set


def _groups(
    speakers: Sequence[Sequence[int]], n_clips: int | None, seed: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """Return the rows of each pool, and, in the same order, the rows of the clips that use its statistics.

    Raises: UserError for more clips than any of these speakers has.
    """
    most = max(map(len, speakers), default=0)
    if n_clips is not None and most and n_clips > most:
        raise UserError(f"{n_clips} clips of each speaker are asked for, and none has more than {most}: say all")
    groups: list[list[int]] = []
    owners: list[list[int]] = []
    for rows in speakers:
        if n_clips is None or n_clips >= len(rows):
            groups.append(list(rows))
            owners.append(list(rows))
            continue
        random = torch.Generator().manual_seed(seed)  # anew, so that a speaker's draw depends on nobody else
        for row in rows:
            others = [other for other in rows if other != row]
            drawn = torch.randperm(len(others), generator=random)[: n_clips - 1].tolist()
            groups.append([row, *(others[number] for number in drawn)])
            owners.append([row])
    return groups, owners


def _mean_and_variance(moments: Tensor) -> Tensor:
    """Return mean and variance of mean and mean square, (…, 2, M) both."""
    mean, square = moments.unbind(-2)
    return torch.stack([mean, (square - mean.square()).clamp_min(0)], dim=-2)


def protocol_entry(n_clips: int | None) -> dict[str, int | str]:
    """Return the entry of a result's protocol for statistics from more clips than one; None is all clips."""
    if n_clips == 1:
        return {}
    return {"speaker_clips": "all" if n_clips is None else n_clips}
