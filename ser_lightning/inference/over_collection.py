"""Run a trained model on labelled clips.

N: clips.  B: clips of a batch.  T: samples.  K: classes.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch

from ser_lightning.data.batches import Change, clip_batches
from ser_lightning.data.labelled_clips import LabelledClips
from ser_lightning.data.long_clips import joined
from ser_lightning.inference.recognizer import EmotionRecognizer
from ser_lightning.models.nets.network import cached_forward
from ser_lightning.models.speaker_statistics import moments_of_set
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.precision import autocast

_BATCH_SIZE = 256  # of cached features


@torch.inference_mode()
def logits_of(
    model: EmotionRecognizer,
    clips: LabelledClips,
    rows: Sequence[int],
    *,
    what: str,
    batch_seconds: float | None,
    change: Change | None = None,
) -> np.ndarray:
    """Return the logits (N, K) of clips, in the order of ``rows``, from cached features where it has these.

    A clip in pieces has the logits of all of them, joined. The number format is that of the training, so that a
    run's own test is repeated, and features that it cached are found again.

    Args:
        what: the progress bar's title.
        batch_seconds: of audio in a batch, as in `LengthBuckets`.
        change: of a row and its samples (T,) int16 makes the samples that the model is run on instead.

    Raises: UserError where the model's numbers are none.
    """
    pieces, device = clips.pieces_of(rows), model.device
    with autocast(model.precision, device.type):
        cached = cached_forward(model.net, model.frontend, clips, pieces, device=device) if change is None else None
        if cached is not None:
            if model.speaker_clips != 1 and model.speaker_statistics is not None:
                by_speaker = clips.pieces_by_speaker(rows)
                model.speaker_statistics.place(model.net, [(by_speaker, model.speaker_clips)])
            batches = torch.tensor(pieces, device=device).split(_BATCH_SIZE)
            logits = torch.cat([model.read_out(cached(batch)) for batch in batches]).cpu().numpy()
        else:
            batches_of = partial(clip_batches, change=change, batch_seconds=batch_seconds)
            logits = _from_waveforms(model, clips, rows, pieces, batches_of, what)
    if clips.pieces.several:  # joined before any temperature, as it is fitted
        answers = torch.from_numpy(logits * model.temperature)
        joined_rows, means = joined(torch.from_numpy(clips.pieces.clip[pieces]), answers, model.task)
        logits = (means / model.temperature).numpy()[np.searchsorted(joined_rows.numpy(), rows)]
    if not np.isfinite(logits).all():
        raise UserError(f"{what}: the model's outputs are no numbers (NaN): train it anew")
    return logits


def _from_waveforms(
    model: EmotionRecognizer,
    clips: LabelledClips,
    rows: Sequence[int],
    pieces: Sequence[int],
    batches_of: Callable[..., Iterable[tuple[list[int], torch.Tensor, torch.Tensor]]],
    what: str,
) -> np.ndarray:
    """Return the logits (P, K) of pieces."""
    number = {piece: place for place, piece in enumerate(pieces)}
    statistics = None
    if model.speaker_clips != 1 and model.speaker_statistics is not None:
        batches = batches_of(clips, pieces, what=f"{what}: speaker statistics")
        moments = moments_of_set(
            model.moments,
            (([number[piece] for piece in batch], wave, lengths) for batch, wave, lengths in batches),
            n_clips=len(pieces),
            device=model.device,
        )
        speakers = [[number[piece] for piece in own] for own in clips.pieces_by_speaker(rows)]
        statistics = model.speaker_statistics.estimate(moments, speakers, n_clips=model.speaker_clips)  # (P, 2, M)
    logits_of_piece: dict[int, np.ndarray] = {}
    for batch, waveform, lengths in batches_of(clips, pieces, what=what):
        of_speakers = statistics[[number[piece] for piece in batch]] if statistics is not None else None
        of_batch = model.logits(waveform.to(model.device), lengths.to(model.device), of_speakers)
        logits_of_piece |= dict(zip(batch, of_batch.cpu().numpy(), strict=True))
    return np.stack([logits_of_piece[piece] for piece in pieces])
