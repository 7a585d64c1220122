"""Synthesise a small corpus of acted speech, so that everything runs before any real corpus is at hand.

It is no substitute for speech. `phones` has the sentences, `prosody` the emotions, `voice` makes the sound,
and here a take is put in its room and written. Six emotions, ten sentences, any number of speakers.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

from ser_lightning.data.synthesis.phones import SENTENCES, phones_of
from ser_lightning.data.synthesis.prosody import EMOTIONS, Correlates, express, plan
from ser_lightning.data.synthesis.voice import SAMPLE_RATE_HZ, Speaker, make_speaker, speak
from ser_lightning.utils.seeding import stable_rng

__all__ = [
    "EMOTIONS",
    "SAMPLE_RATE_HZ",
    "SENTENCES",
    "Speaker",
    "clip_name",
    "make_speaker",
    "synthesise",
    "synthesise_corpus",
    "take_of",
]

SPEECH_DBFS = -28.0
GAIN_SPREAD_DB = 4.0
PEAK = 0.85


def synthesise_corpus(
    root: Path,
    *,
    speakers: int = 24,
    sentences: int = 5,
    takes: int = 1,
    seed: int = 0,
    on_clip: Callable[[], None] | None = None,
) -> None:
    """Write speakers x sentences x 6 x takes clips, `root/s01_t1_ANG_1.wav` and so on: 16 kHz, mono, 16 bit.

    A clip depends on the seed and its name alone, so a larger corpus contains the smaller one.

    Args:
        root: directory to write to; made where it is missing.
        speakers: how many speakers, numbered from 1.
        sentences: how many of SENTENCES each speaks.
        takes: how often each is spoken in each emotion.
        seed: of everything that is drawn.
        on_clip: called after each clip, to show progress.

    Raises:
        ValueError: more sentences are asked for than there are.
    """
    if not 1 <= sentences <= len(SENTENCES):
        raise ValueError(f"cannot speak {sentences} sentences: choose 1 to {len(SENTENCES)}")
    root.mkdir(parents=True, exist_ok=True)
    cast = [make_speaker(number, seed) for number in range(1, speakers + 1)]
    for speaker, sentence, emotion, take in product(cast, range(1, sentences + 1), EMOTIONS, range(1, takes + 1)):
        name = clip_name(speaker.id, sentence, emotion, take)
        waveform = synthesise(speaker, sentence, emotion, stable_rng(seed, name))
        file = io.BytesIO()  # libsndfile does not say that a disk is full
        soundfile.write(file, waveform, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
        (root / f"{name}.wav").write_bytes(file.getbuffer())
        if on_clip is not None:
            on_clip()


def clip_name(speaker: str, sentence: int, emotion: str, take: int) -> str:
    """Return what a clip of `synthesise_corpus` is called."""
    return f"{speaker}_t{sentence}_{emotion}_{take}"


def take_of(name: str, *, seed: int = 0) -> Correlates:
    """Return how the clip of that name is spoken in a corpus of that seed."""
    return express(name.split("_")[2], stable_rng(seed, name))  # what `synthesise` draws first


def synthesise(speaker: Speaker, sentence: int, emotion: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return one take of a sentence, (T,), at SAMPLE_RATE_HZ and within +-PEAK.

    Raises:
        ValueError: there is no such sentence (from 1) or no such emotion.
    """
    correlates = express(emotion, rng)
    tracks = plan(phones_of(sentence), speaker=speaker, correlates=correlates, rng=rng)
    speech = speak(
        tracks,
        speaker=speaker,
        tilt_db_per_octave=correlates.tilt_db_per_octave,
        breathiness=correlates.breathiness,
        jitter=correlates.jitter,
        shimmer=correlates.shimmer,
        creak=correlates.creak,
        rng=rng,
    )
    level_dbfs = SPEECH_DBFS + correlates.level_db + speaker.level_db + rng.normal(0, GAIN_SPREAD_DB)
    speech *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(speech**2))
    noise_dbfs = speaker.noise_dbfs + rng.normal(0, 2)
    # The room's noise is stationary and falls with frequency, as ventilation does.
    noise = lfilter([1.0], [1.0, -0.9], rng.standard_normal(len(speech)))
    clip = speech + 10 ** (noise_dbfs / 20) * noise / np.sqrt(np.mean(noise**2))
    return (clip * min(1.0, PEAK / np.abs(clip).max())).astype(np.float32)
