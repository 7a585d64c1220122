"""Synthesise a voice: glottal pulses and noise through a moving vocal tract (the source-filter model, Fant 1960).

F: control frames of HOP_SAMPLES.  T: samples, F * HOP_SAMPLES.  Q: bins of the filter's spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from ser_lightning.utils.seeding import stable_rng

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
ComplexArray = npt.NDArray[np.complexfloating[Any, Any]]

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 64
FRAME_S = HOP_SAMPLES / SAMPLE_RATE_HZ
WINDOW_SAMPLES = 4 * HOP_SAMPLES
FFT_SAMPLES = 8 * HOP_SAMPLES  # twice the window, so that the tract's ringing does not wrap around
BIN_HZ = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE_HZ / FFT_SAMPLES  # (Q,)

# F4 and up of a 17.5 cm tube: nearly the same in all vowels
HIGH_FORMANTS_HZ = (3500.0, 4500.0, 5500.0, 6500.0)
BANDWIDTHS_HZ = (70.0, 100.0, 150.0, 220.0, 280.0, 350.0, 450.0)


@dataclass(frozen=True)
class Speaker:
    """A speaker: what stays the same from one clip to the next, the room included."""

    id: str
    sex: str
    base_pitch_hz: float
    vocal_tract_scale: float  # ratio on all formants; 1 is an adult male's tract
    pitch_range: float
    rate: float
    jitter: float
    shimmer: float
    breathiness: float
    tilt_db_per_octave: float
    level_db: float
    channel_db_per_octave: float
    noise_dbfs: float


@dataclass(frozen=True)
class Tracks:
    """Control tracks of the voice, a value a frame; amplitudes are linear. Shapes (F,), formants_hz (F, 3)."""

    f0_hz: FloatArray
    formants_hz: FloatArray
    voicing: FloatArray
    aspiration: FloatArray
    frication: FloatArray
    frication_hz: FloatArray
    frication_width_hz: FloatArray


def make_speaker(number: int, seed: int = 0) -> Speaker:
    """Return the speaker of that number, from 1: odd ones are male, even ones female.

    Pitch and tract length are spread about the adult means of Peterson & Barney (1952).

    Raises:
        ValueError: number is below 1.
    """
    if number < 1:
        raise ValueError(f"speakers are numbered from 1, not {number}")
    speaker_id = f"s{number:02d}"
    rng = stable_rng(seed, f"speaker/{speaker_id}")
    female = number % 2 == 0
    return Speaker(
        id=speaker_id,
        sex="female" if female else "male",
        base_pitch_hz=(200.0 if female else 115.0) * float(np.exp(np.clip(rng.normal(0, 0.11), -0.22, 0.22))),
        vocal_tract_scale=(1.16 if female else 1.0) * rng.uniform(0.94, 1.06),
        pitch_range=rng.uniform(0.75, 1.25),
        rate=rng.uniform(0.9, 1.12),
        jitter=rng.uniform(0.002, 0.008),
        shimmer=rng.uniform(0.02, 0.06),
        breathiness=rng.uniform(0.01, 0.06) + 0.02 * female,
        tilt_db_per_octave=rng.normal(0, 1.0),
        level_db=rng.normal(0, 2.5),
        channel_db_per_octave=rng.normal(0, 1.2),
        noise_dbfs=rng.uniform(-66, -48),
    )


def glottal_source(
    f0_hz: FloatArray,
    *,
    open_quotient: float,
    jitter: float,
    shimmer: float,
    creak: float,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Return the derivative of the glottal flow, and the flow itself; both (T,).

    Rosenberg's (1971) trigonometric pulse, type C. Differencing the sampled flow, in place of sampling its
    derivative, averages the jump at closure over a sample and so keeps aliasing low. Creak weakens every
    second pulse and shifts it, which gives a subharmonic.

    Args:
        f0_hz: pitch at each sample, (T,).
        open_quotient: share of a cycle in which the glottis is open.
        jitter: standard deviation of a cycle's pitch, relative.
        shimmer: standard deviation of a cycle's amplitude, relative.
        creak: depth of the alternation, 0 to 1, reached at the end of the clip.
    """
    cycle = (np.cumsum(f0_hz) / SAMPLE_RATE_HZ).astype(int)
    alternation = np.where(cycle % 2, creak, -creak) * np.linspace(0.3, 1.0, len(cycle))
    wander = jitter * rng.standard_normal(cycle[-1] + 1)
    phase = np.cumsum(f0_hz * (1 + wander[cycle] + 0.3 * alternation)) / SAMPLE_RATE_HZ
    cycle = phase.astype(int)
    within = (phase - cycle).astype(np.float32)
    rise, fall = open_quotient * 2 / 3, open_quotient / 3
    opening = 0.5 - 0.5 * np.cos(np.pi * np.minimum(within / rise, 1))
    closing = np.cos(0.5 * np.pi * np.clip((within - rise) / fall, 0, 1))
    flow = opening * closing
    amplitude = 1 + shimmer * rng.standard_normal(cycle[-1] + 1)
    pulses = np.diff(flow, prepend=0.0) * amplitude[cycle] * (1 - 0.5 * np.maximum(alternation, 0))
    return pulses * SAMPLE_RATE_HZ / f0_hz * fall, flow


def speak(
    tracks: Tracks,
    *,
    speaker: Speaker,
    tilt_db_per_octave: float,
    breathiness: float,
    jitter: float,
    shimmer: float,
    creak: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the waveform of the tracks, (T,), at no particular level.

    Tilt, breathiness, jitter and shimmer come on top of the speaker's own.
    """
    samples = len(tracks.f0_hz) * HOP_SAMPLES
    tilt = tilt_db_per_octave + speaker.tilt_db_per_octave
    pulses, flow = glottal_source(
        _per_sample(tracks.f0_hz),
        open_quotient=float(np.clip(0.62 - 0.03 * tilt, 0.45, 0.85)),
        jitter=jitter + speaker.jitter,
        shimmer=shimmer + speaker.shimmer,
        creak=creak,
        rng=rng,
    )
    noise = rng.standard_normal(samples, dtype=np.float32)
    breath = (breathiness + speaker.breathiness) * tracks.voicing + tracks.aspiration
    # Turbulence follows the air: most of it while the glottis is open.
    glottal = _per_sample(tracks.voicing) * pulses + 0.3 * _per_sample(breath) * (0.3 + flow) * noise
    spectrum = _frames(glottal) * _tract_response(tracks.formants_hz, scale=speaker.vocal_tract_scale)
    spectrum *= _tilt_response(tilt)
    spectrum += _frames(noise * _per_sample(tracks.frication)) * _frication_response(tracks)
    spectrum *= _tilt_response(speaker.channel_db_per_octave)
    return _overlap_add(spectrum)


def _per_sample(track: FloatArray) -> FloatArray:
    """Interpolate a control track (F,) between its frames' centres: (T,)."""
    position = (np.arange(len(track) * HOP_SAMPLES) - HOP_SAMPLES / 2) / HOP_SAMPLES
    return np.interp(position, np.arange(len(track)), track)


def _at_windows(track: FloatArray) -> FloatArray:
    """Return a control track (F, ...) as the windows of `_frames` need it: (F + 3, ...)."""
    return np.concatenate([track[:1], track, track[-1:], track[-1:]])


def _tract_response(formants_hz: FloatArray, *, scale: float) -> ComplexArray:
    """Return a cascade of resonators with unit gain at 0 Hz (Klatt 1980), (F, 3) -> (F + 3, Q)."""
    low_hz = _at_windows(formants_hz)
    high_hz = np.tile(scale * np.array(HIGH_FORMANTS_HZ), (len(low_hz), 1))
    centres_hz = np.concatenate([low_hz, high_hz], axis=1)  # (F + 3, 7)
    radius = np.exp(-np.pi * np.array(BANDWIDTHS_HZ) / SAMPLE_RATE_HZ)
    middle = -2 * radius * np.cos(2 * np.pi * centres_hz / SAMPLE_RATE_HZ)
    poles = np.zeros((len(low_hz), 2 * len(radius) + 1))
    poles[:, 0] = 1.0
    for k, r in enumerate(radius):  # multiply by 1 + middle z^-1 + r^2 z^-2
        shifted = poles.copy()
        shifted[:, 1:] += middle[:, k : k + 1] * poles[:, :-1]
        shifted[:, 2:] += r**2 * poles[:, :-2]
        poles = shifted
    response = fft.rfft(poles.astype(np.float32), n=FFT_SAMPLES, axis=1)
    return poles.sum(axis=1, keepdims=True).astype(np.float32) / response


def _tilt_response(db_per_octave: float) -> FloatArray:
    """Return a straight line in dB over octaves from 500 Hz up, (Q,)."""
    power = db_per_octave / (20 * np.log10(2))
    return ((np.maximum(BIN_HZ, 500.0) / 500.0) ** power).astype(np.float32)


def _frication_response(tracks: Tracks) -> FloatArray:
    """Return one broad hump of noise a frame, (F + 3, Q)."""
    centre_hz, width_hz = _at_windows(tracks.frication_hz), _at_windows(tracks.frication_width_hz)
    offset = ((BIN_HZ - centre_hz[:, None]) / width_hz[:, None]).astype(np.float32)
    squared = offset * offset
    return 1 / (1 + squared * squared)


def _frames(waveform: FloatArray) -> ComplexArray:
    """Return short-time spectra, (T,) -> (F + 3, Q)."""
    side = WINDOW_SAMPLES - HOP_SAMPLES
    padded = np.pad(waveform.astype(np.float32), side)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    window = 0.25 - 0.25 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    return fft.rfft(frames * window.astype(np.float32), n=FFT_SAMPLES, axis=1)


def _overlap_add(spectrum: ComplexArray) -> FloatArray:
    """Invert `_frames`, (F + 3, Q) -> (T,)."""
    hops = FFT_SAMPLES // HOP_SAMPLES
    frames = fft.irfft(spectrum, n=FFT_SAMPLES, axis=1).reshape(len(spectrum), hops, HOP_SAMPLES)
    total = np.zeros((len(spectrum) + hops, HOP_SAMPLES), dtype=np.float32)
    for k in range(hops):
        total[k : k + len(frames)] += frames[:, k]
    side = WINDOW_SAMPLES // HOP_SAMPLES - 1
    return total[side : len(spectrum)].ravel()
