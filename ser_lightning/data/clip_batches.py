"""Waveforms of chosen clips, batch by batch, changed on the way where that is asked for.

B: clips.  T: samples.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ser_lightning.data.batches import LengthBuckets
from ser_lightning.data.labelled_clips import Collection
from ser_lightning.data.prepare.decoding import padded
from ser_lightning.utils.progress import track

Change = Callable[[int, np.ndarray], np.ndarray]
_BATCH = 32


def clip_batches(
    collection: Collection, rows: Sequence[int], *, what: str, change: Change | None
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Rows, their waveforms (B, T) int16 and lengths (B,), batch by batch."""
    batches = list(LengthBuckets(rows, collection.n_samples, batch_size=_BATCH, shuffle=False))
    for batch in track(batches, what):
        waveform, lengths = collection.gather(batch)
        if change is not None:
            clips = zip(batch, waveform, lengths, strict=True)
            waveform, lengths = padded([change(row, samples[:length]) for row, samples, length in clips])
        yield batch, torch.from_numpy(waveform), torch.from_numpy(lengths)
