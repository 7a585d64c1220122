"""Cut a recording of any length into segments of about the length that models are trained on.

T: samples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ser_lightning.utils.errors import UserError

_LONGEST = 1.5  # windows that are still one segment
_SHORTEST_HOP_S = 0.01  # already a hundred answers for each second
_LONGEST_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The way in which a recording is cut: a window of ``window_s`` every ``hop_s`` seconds.

    What remains at the end, and a whole recording, is one segment while it is no longer than one and a half
    windows: no segment is ever much shorter than half a window, and a clip of a few seconds stays as it is.

    Raises: UserError for lengths that no recording can be cut by.
    """

    window_s: float = 4.0
    hop_s: float = 2.0

    def __post_init__(self) -> None:
        if not _SHORTEST_HOP_S <= self.hop_s <= self.window_s <= _LONGEST_S:
            raise UserError(
                f"windows of {self.window_s:g} s every {self.hop_s:g} s cannot be: {_SHORTEST_HOP_S:g} ≤ hop ≤ "
                f"window ≤ {_LONGEST_S:g} is needed"
            )

    def cut(self, blocks: Iterable[np.ndarray], sample_rate_hz: int) -> "Iterator[tuple[int, np.ndarray]]":
        """Yield (first sample, samples (T,)) of each segment, as they come, from successive blocks (T,).

        The same for the same samples, however they are divided into blocks.
        """
        window, hop = (max(1, round(s * sample_rate_hz)) for s in (self.window_s, self.hop_s))
        longest = int(_LONGEST * window)
        held, start = np.zeros(0, np.int16), 0
        for block in blocks:
            held = np.concatenate([held, block])
            while len(held) > longest:
                yield start, held[:window]
                held, start = held[hop:], start + hop
        if len(held):
            yield start, held
