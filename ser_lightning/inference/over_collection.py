"""A trained model on the clips of a collection.

N: clips.  B: clips of a batch.  T: samples.  K: classes.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ser_lightning.data.prepare.decoding import padded
from ser_lightning.data.labelled_clips import Collection
from ser_lightning.data.batches import LengthBuckets
from ser_lightning.utils.progress import track
from ser_lightning.utils.errors import UserError
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.models.frontend import LogMel

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
    for batch, waveform, lengths in _heard(collection, rows, what=what, change=change):
        voice = voices[batch] if voices is not None else None
        of_batch = model.logits(waveform.to(model.device), lengths.to(model.device), voice)
        found |= dict(zip(batch, of_batch.cpu().numpy(), strict=True))
    logits = np.stack([found[row] for row in rows])
    if not np.isfinite(logits).all():
        raise UserError(f"{what}: the model's answers are no numbers (NaN): train it anew")
    return logits


@torch.inference_mode()
def clip_moments(
    frontend: nn.Module, collection: Collection, rows: Sequence[int], *, what: str, change: Change | None = None
) -> tuple[Tensor, Tensor]:
    """`LogMel.moments` of clips, where its buffers are: (N, 2, M) and (N,), N clips being the whole collection's.

    They are 0 but in ``rows``. The arguments are those of `hear`.
    """
    assert isinstance(frontend, LogMel), "nothing else has a voice"
    device, n_clips = frontend.window.device, len(collection.manifest)
    moments = torch.zeros(n_clips, 2, frontend.n_mels, device=device)
    frames = torch.zeros(n_clips, dtype=torch.int64, device=device)
    for batch, waveform, lengths in _heard(collection, rows, what=what, change=change):
        moments[batch], frames[batch] = frontend.moments(waveform.to(device), lengths.to(device))
    return moments, frames


def _heard(
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
