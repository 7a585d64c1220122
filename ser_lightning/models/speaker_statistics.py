"""What is known of a speaker: mean and variance of every mel bin over clips of theirs, whatever these express.

Features normalised by it show how somebody speaks now, against how they speak otherwise. No label is used. Schuller
et al., "Cross-corpus acoustic emotion recognition: variances and strategies", IEEE Transactions on Affective
Computing 1(2), 2010, compare this to normalising by corpus, or not at all.

Of a speaker of whom little was heard, the rest is taken from the typical one of those who trained: after n clips
their own mean and variance count n / (n + k).

N: clips.  S: speakers.  M: mel bins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def voice_of(moments: Tensor) -> Tensor:
    """Mean and mean square (…, 2, M) -> mean and variance (…, 2, M)."""
    mean, square = moments.unbind(-2)
    return torch.stack([mean, (square - mean.square()).clamp_min(0)], dim=-2)


def shrunk(voice: Tensor, n_clips: Tensor, typical: Tensor, *, prior_clips: float) -> Tensor:
    """Voices (S, 2, M) found in ``n_clips`` (S,), drawn towards the ``typical`` (2, M)."""
    share = (n_clips / (n_clips + prior_clips))[:, None, None]
    return share * voice + (1 - share) * typical


def pooled(moments: Tensor, frames: Tensor, speakers: Sequence[Sequence[int]]) -> Tensor:
    """The voices (S, 2, M) of speakers whose clips are given as rows of ``moments`` (N, 2, M), ``frames`` (N,)."""
    found = []
    for rows in speakers:
        weight = frames[list(rows)].to(moments.dtype)[:, None, None]
        found.append((moments[list(rows)] * weight).sum(0) / weight.sum())
    return voice_of(torch.stack(found))


def typical_voice(voices: Tensor) -> Tensor:
    """Of speakers (S, 2, M) the one in the middle, (2, M)."""
    return voices.mean(0)


def protocol_of_speakers(n_clips: int | None) -> dict[str, int | str]:
    """What a result's protocol says where more than the clip itself was known of a speaker."""
    if n_clips == 1:
        return {}
    return {"speaker_clips": "all" if n_clips is None else n_clips}


def known_voices(
    moments: Tensor,
    frames: Tensor,
    speakers: Sequence[Sequence[int]],
    *,
    n_clips: int | None,
    typical: Tensor,
    prior_clips: float,
    seed: int = 0,
) -> Tensor:
    """For each clip, what is known of its speaker when it is heard: (N, 2, M).

    Args:
        moments, frames: of the clips, (N, 2, M) and (N,).
        speakers: rows of the clips of each speaker; every clip is in one of them.
        n_clips: how many of a speaker's clips were heard, the clip itself and others drawn at random; None for all.
        typical, prior_clips: see `shrunk`.
        seed: of the draw.
    """
    if n_clips == 1:
        return shrunk(voice_of(moments), torch.ones_like(frames), typical, prior_clips=prior_clips)
    random = torch.Generator().manual_seed(seed)
    groups: list[list[int]] = []  # rows that tell of the clips in `owners`, in the same order
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
    counts = torch.tensor([len(rows) for rows in groups], device=moments.device)
    voices = shrunk(pooled(moments, frames, groups), counts, typical, prior_clips=prior_clips)
    table = torch.empty_like(moments)
    for owned, voice in zip(owners, voices, strict=True):
        table[owned] = voice
    return table
