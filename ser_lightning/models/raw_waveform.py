"""Pass on the waveform itself as features, for networks that make their own of it.

B: clips.  T: samples of the longest clip.
"""

from torch import Tensor, nn

from ser_lightning.models.layers.int16 import as_float
from ser_lightning.models.layers.masking import clear_padding
from ser_lightning.utils.errors import UserError

RATE_HZ = 16_000  # what pretrained speech models were trained at


class RawWaveform(nn.Module):
    """Samples as floats in [-1, 1]: features of one bin, with a frame at every sample.

    Raises: UserError where the waveforms have another rate than pretrained models take.
    """

    n_mels = 1
    speaker_statistics = None  # samples are not normalised by speaker

    def __init__(self, *, sample_rate_hz: int):
        super().__init__()
        if sample_rate_hz != RATE_HZ:
            raise UserError(f"pretrained models take {RATE_HZ} samples a second, and clips have {sample_rate_hz}")

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T) int16 or float in [-1, 1], and lengths (B,) to (B, 1, T) float32 and lengths; padding is 0."""
        return clear_padding(as_float(waveform).float(), lengths)[:, None], lengths
