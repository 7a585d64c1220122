"""What becomes of clips that are longer than a network should take at once: their middle, or pieces of them.

N: clips.  P: pieces, N at least.  K: labels or targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ser_lightning.tasks.task import Task
from ser_lightning.utils.errors import check, check_choice

MAX_CLIP_SECONDS = 600.0
ON_LONG = ("error", "crop", "split")


@dataclass(frozen=True, kw_only=True)
class LongClips:
    """The longest that a clip may be, and what becomes of longer ones.

    ``on_long`` is "error" (they are named, and nothing starts), "crop" (their middle stands for them) or "split"
    (pieces of equal length, which train as clips of their own; a clip's answer is the mean of its pieces').

    Raises: UserError for another word, and for no length.
    """

    max_clip_seconds: float = MAX_CLIP_SECONDS
    on_long: str = "error"

    def __post_init__(self) -> None:
        check_choice("data.", ON_LONG, on_long=self.on_long)
        check("data.", above=0, max_clip_seconds=self.max_clip_seconds)

    @property
    def sentence(self) -> str:
        """Say what becomes of long clips."""
        treatment = "cropped to their middle" if self.on_long == "crop" else "trained and tested in pieces"
        return f"clips longer than {self.max_clip_seconds:g} s are {treatment}"

    @property
    def warning(self) -> str:
        """Return the key that result.json counts cut clips under."""
        return "cropped" if self.on_long == "crop" else "in_pieces"

    @property
    def refused_from_s(self) -> float:
        """Return the length beyond which a clip is an error."""
        return self.max_clip_seconds if self.on_long == "error" else np.inf

    def pieces(self, n_samples: np.ndarray, sample_rate_hz: int) -> "Pieces":
        """Return the pieces of clips of these lengths (N,), as ``on_long`` says."""
        longest = max(1, int(self.max_clip_seconds * sample_rate_hz))
        first = np.arange(len(n_samples))
        long = np.flatnonzero(n_samples > longest)
        if self.on_long == "error" or not len(long):
            return Pieces(n_clips=len(first), clip=first, start=np.zeros_like(first), n_samples=n_samples)
        if self.on_long == "crop":
            return Pieces(
                n_clips=len(first),
                clip=first,
                start=np.maximum(0, n_samples - longest) // 2,
                n_samples=np.minimum(n_samples, longest),
            )
        n_pieces = np.maximum(1, -(-n_samples // longest))  # of each clip
        further = np.repeat(long, n_pieces[long] - 1)
        clip = np.concatenate([first, further])
        number = np.concatenate([np.zeros_like(first), *(np.arange(1, n_pieces[row]) for row in long)])
        start, end = (n_samples[clip] * at // n_pieces[clip] for at in (number, number + 1))
        return Pieces(n_clips=len(first), clip=clip, start=start, n_samples=end - start)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """What models are run on: of each clip all, its middle, or several pieces.

    The first N are of the N clips, one each, so that a clip in one piece has one number as clip and as piece.

    ``clip`` (P,) is whose piece it is, ``start`` (P,) and ``n_samples`` (P,) where it lies in the clip.
    """

    n_clips: int
    clip: np.ndarray
    start: np.ndarray
    n_samples: np.ndarray

    def of(self, rows: Sequence[int]) -> list[int]:
        """Return the pieces of clips: the first of each in the order of ``rows``, then all others."""
        further = np.arange(self.n_clips, len(self.clip))
        return [*rows, *further[np.isin(self.clip[self.n_clips :], rows)].tolist()]

    @property
    def several(self) -> bool:
        """Return whether any clip is in several pieces."""
        return len(self.clip) > self.n_clips


def joined(clip: Tensor, outputs: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """Join outputs (P, K) for pieces of clips (P,): return the clips (N,), by number, and their outputs (N, K).

    Those of a clip in pieces are means of what the task averages; if no clip is, all outputs stay as they are.
    """
    clips, place, n_pieces = clip.unique(return_inverse=True, return_counts=True)
    if len(clips) == len(clip):
        return clips, outputs[clip.argsort()]
    sums = outputs.new_zeros(len(clips), outputs.shape[1]).index_add_(0, place, task.averaged(outputs))
    return clips, sums / n_pieces[:, None]
