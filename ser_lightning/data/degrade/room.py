"""Put the speaker in a room.

T: samples.  I: samples of the room's impulse response.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from ser_lightning.data.degrade.condition import Floats, within_full_scale


@dataclass(frozen=True, kw_only=True)
class Room:
    """Reverberation, every clip in a room of its own and as loud as before; it ends where the clip does.

    The room is Gaussian noise whose energy falls by 60 dB in ``rt60_s`` (Polack, La transmission de l'énergie
    sonore dans les salles, 1988). The microphone is at the critical distance, where as much energy comes from the
    room as from the speaker (Kuttruff, Room Acoustics, chapter 5).
    """

    rt60_s: float

    def __call__(self, samples: Floats, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the clip as it is recorded in a room, (T,)."""
        reverberant = oaconvolve(samples, self.response(sample_rate_hz, random))[: len(samples)]
        before, after = np.sum(samples**2), np.sum(reverberant**2)
        return within_full_scale(reverberant * np.sqrt(before / after)) if after else samples

    def response(self, sample_rate_hz: int, random: np.random.Generator) -> Floats:
        """Return the impulse response (I,): the direct sound, then as much energy from everywhere."""
        time_s = np.arange(1, max(2, round(self.rt60_s * sample_rate_hz))) / sample_rate_hz
        echoes = random.standard_normal(len(time_s)) * 10 ** (-3 * time_s / self.rt60_s)
        return np.concatenate([[1.0], echoes / np.sqrt(np.sum(echoes**2))])
