"""Mel filters, multiplied a band at a time: most of their matrix is zero.

B: clips.  M: mel bins.  F: frames.
"""

import warnings

import torchaudio
from torch import Tensor, nn

from ser_lightning.utils.errors import UserError


def mel_filters(
    n_frequencies: int, min_hz: float, max_hz: float, n_mels: int, sample_rate_hz: int, mel_scale: str
) -> Tensor:
    """Return the mel filters (n_fft / 2 + 1, M)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of empty filters, which are refused here
        filters = torchaudio.functional.melscale_fbanks(
            n_frequencies, min_hz, max_hz, n_mels, sample_rate_hz, mel_scale=mel_scale
        )
    n_empty = int((~filters.any(0)).sum())
    if n_empty:
        raise UserError(
            f"model.frontend.n_mels={n_mels} is too many: {n_empty} filters lie between two frequencies of "
            f"n_fft={2 * n_frequencies - 2} and would always be silent; lower n_mels or raise n_fft"
        )
    return filters


class MelBand(nn.Module):
    """A few neighbouring mel filters, and the frequencies that any of them passes."""

    def __init__(self, filters: Tensor):
        """``filters``: (n_fft / 2 + 1, filters of the band)."""
        super().__init__()
        passed = filters.any(1).nonzero().flatten()
        first, last = (int(passed[0]), int(passed[-1]) + 1) if len(passed) else (0, 1)
        self._columns = slice(2 * first, 2 * last)
        self.filters: Tensor
        self.register_buffer("filters", filters[first:last].repeat_interleave(2, 0), persistent=False)

    def forward(self, squares: Tensor) -> Tensor:
        """Map squared real and imaginary parts in turns (B · F, n_fft + 2) to power by filter (B · F, filters)."""
        return squares[:, self._columns] @ self.filters
