"""A trained model on the clips of a collection.

N: clips.  B: clips of a batch.  T: samples.  K: classes.
"""

from collections.abc import Sequence

import numpy as np
import torch

from ser_lightning.data.clip_batches import Change, clip_batches
from ser_lightning.data.labelled_clips import Collection
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.models.clip_moments import clip_moments
from ser_lightning.models.frontend import LogMel
from ser_lightning.utils.errors import UserError


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

    Raises: UserError where the model's numbers are none.
    """
    voices = None
    if model.speaker_clips != 1:
        assert isinstance(model.frontend, LogMel), "nothing else knows speakers"
        moments, frames = clip_moments(
            model.frontend, collection, rows, what=f"{what}: the speakers", change=change
        )
        speakers = collection.manifest.by_speaker(rows)
        voices = model.frontend.known_voices(moments, frames, speakers, n_clips=model.speaker_clips)
    found: dict[int, np.ndarray] = {}
    for batch, waveform, lengths in clip_batches(collection, rows, what=what, change=change):
        voice = voices[batch] if voices is not None else None
        of_batch = model.logits(waveform.to(model.device), lengths.to(model.device), voice)
        found |= dict(zip(batch, of_batch.cpu().numpy(), strict=True))
    logits = np.stack([found[row] for row in rows])
    if not np.isfinite(logits).all():
        raise UserError(f"{what}: the model's answers are no numbers (NaN): train it anew")
    return logits
