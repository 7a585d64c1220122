"""A trained model on the clips of a collection.

N: clips.  B: clips of a batch.  T: samples.  K: classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ser_lightning.data.audio import padded
from ser_lightning.data.collection import Collection
from ser_lightning.data.loading import LengthBuckets
from ser_lightning.data.progress import track
from ser_lightning.inference.recognizer import EmotionRecognizer

Change = Callable[[int, np.ndarray], np.ndarray]

_BATCH = 32


@torch.inference_mode()
def hear(
    model: EmotionRecognizer,
    collection: Collection,
    rows: Sequence[int],
    *,
    what: str,
    change: Change | None = None,
) -> np.ndarray:
    """Logits (N, K) of clips, in the order of ``rows``.

    Args:
        what: said of the progress.
        change: of a row and its samples (T,) int16 makes the samples that are heard instead.
    """
    found: dict[int, np.ndarray] = {}
    device = next(model.parameters()).device
    batches = list(LengthBuckets(rows, collection.n_samples, batch_size=_BATCH, shuffle=False))
    for batch in track(batches, what):
        waveform, lengths = collection.gather(batch)
        if change is not None:
            clips = zip(batch, waveform, lengths, strict=True)
            waveform, lengths = padded([change(row, samples[:length]) for row, samples, length in clips])
        logits = model.logits(torch.from_numpy(waveform).to(device), torch.from_numpy(lengths).to(device))
        found |= dict(zip(batch, logits.cpu().numpy(), strict=True))
    return np.stack([found[row] for row in rows])
