import hashlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_lightning.data.synthesis import (
    EMOTIONS,
    SAMPLE_RATE_HZ,
    SENTENCES,
    make_speaker,
    synthesise,
    synthesise_corpus,
)
from ser_lightning.data.synthesis.phones import PHONES
from ser_lightning.data.synthesis.voice import (
    BIN_HZ,
    FFT_SAMPLES,
    HOP_SAMPLES,
    _frames,
    _overlap_add,
    _tract_response,
    glottal_source,
)
from ser_lightning.utils.seeding import stable_rng

SPEAKERS, SENTENCE_COUNT, TAKES = 2, 2, 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus") / "not" / "there" / "yet"
    synthesise_corpus(root, speakers=SPEAKERS, sentences=SENTENCE_COUNT, takes=TAKES)
    return root


def digests(root: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.iterdir()}


def takes_of(emotion: str, *, speaker: int, takes: int = 2) -> list[np.ndarray]:
    voice = make_speaker(speaker)
    return [
        synthesise(voice, sentence, emotion, stable_rng(take, f"test/{emotion}/{sentence}"))
        for sentence, take in product((1, 3, 4), range(takes))
    ]


def median_f0_hz(waveform: np.ndarray) -> float:
    """By the highest peak of the autocorrelation in loud, periodic frames of 40 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, 640)[::320]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(frames, 2048, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)
    correlation /= correlation[:, :1]
    lags = np.arange(32, 230)  # 70 to 500 Hz
    unbiased = correlation[:, lags] / (1 - lags / 640)
    best = unbiased.argmax(axis=1)
    periodic = unbiased[np.arange(len(best)), best] > 0.7
    loud = frames.std(axis=1) > 0.3 * frames.std(axis=1).max()
    assert (periodic & loud).sum() >= 5
    return float(np.median(SAMPLE_RATE_HZ / lags[best[periodic & loud]]))


def mean_f0_hz(emotion: str, *, speaker: int) -> float:
    return float(np.mean([median_f0_hz(clip) for clip in takes_of(emotion, speaker=speaker)]))


def test_names_are_every_combination(corpus: Path) -> None:
    expected = {
        f"s{speaker:02d}_t{sentence}_{emotion}_{take}.wav"
        for speaker, sentence, emotion, take in product(
            (1, 2), (1, 2), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"), (1, 2)
        )
    }
    assert {path.name for path in corpus.iterdir()} == expected


def test_files_are_16_khz_mono_16_bit_and_of_sensible_length(corpus: Path) -> None:
    for path in corpus.iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 1.0 <= info.duration <= 2.6, path.name


def test_clips_are_audible_unclipped_and_distinct(corpus: Path) -> None:
    for path in corpus.iterdir():
        waveform, _ = soundfile.read(path)
        assert np.abs(waveform).max() < 0.9, path.name
        assert waveform.std() > 1e-3, path.name
    assert len(set(digests(corpus).values())) == SPEAKERS * SENTENCE_COUNT * len(EMOTIONS) * TAKES


def test_a_clip_depends_on_seed_and_name_alone(corpus: Path, tmp_path: Path) -> None:
    synthesise_corpus(tmp_path / "small", speakers=1, sentences=1)
    synthesise_corpus(tmp_path / "other_seed", speakers=1, sentences=1, seed=1)
    whole, small, other = digests(corpus), digests(tmp_path / "small"), digests(tmp_path / "other_seed")
    assert len(small) == len(EMOTIONS)
    assert all(whole[name] == digest for name, digest in small.items())
    assert not set(small.values()) & set(other.values())


def test_on_clip_is_called_once_a_clip(tmp_path: Path) -> None:
    calls: list[int] = []
    synthesise_corpus(
        tmp_path,
        speakers=1,
        sentences=1,
        on_clip=lambda: calls.append(len(list(tmp_path.iterdir()))),
    )
    assert calls == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("sentence", range(1, len(SENTENCES) + 1))
def test_every_sentence_stays_in_bounds(sentence: int) -> None:
    for number, emotion in ((1, "SAD"), (2, "FEA"), (3, "DIS"), (4, "ANG")):
        clip = synthesise(make_speaker(number), sentence, emotion, stable_rng(0, "bounds"))
        assert clip.dtype == np.float32 and np.isfinite(clip).all()
        assert np.abs(clip).max() < 0.9
        assert 1.0 <= len(clip) / SAMPLE_RATE_HZ <= 2.6


def test_speakers_alternate_in_sex_and_differ() -> None:
    speakers = [make_speaker(number) for number in range(1, 25)]
    assert [speaker.sex for speaker in speakers] == ["male", "female"] * 12
    assert len({speaker.id for speaker in speakers}) == 24
    assert len({speaker.base_pitch_hz for speaker in speakers}) > 20
    assert make_speaker(3) == speakers[2]
    assert make_speaker(3, 1) != speakers[2]


def test_the_glottal_source_has_the_pitch_asked_for() -> None:
    pulses, _ = glottal_source(
        np.full(SAMPLE_RATE_HZ, 125.0),
        open_quotient=0.6,
        jitter=0.0,
        shimmer=0.0,
        creak=0.0,
        rng=np.random.default_rng(0),
    )
    spectrum = np.abs(np.fft.rfft(pulses))
    harmonics = np.arange(125, 2000, 125)
    between = harmonics + 62
    assert (spectrum[harmonics] > 30 * spectrum[between]).all()


def test_vowel_formants_are_where_peterson_and_barney_have_them() -> None:
    response = np.abs(_tract_response(np.array([PHONES["AA"][0].formants_hz]), scale=1.0)[0])
    peaks_hz = BIN_HZ[1:-1][(response[1:-1] > response[:-2]) & (response[1:-1] > response[2:])]
    assert np.abs(peaks_hz[:3] - [730, 1090, 2440]).max() <= SAMPLE_RATE_HZ / FFT_SAMPLES


def test_short_time_analysis_and_overlap_add_are_inverse() -> None:
    waveform = np.random.default_rng(0).standard_normal(7 * HOP_SAMPLES)
    np.testing.assert_allclose(_overlap_add(_frames(waveform)), waveform, atol=1e-5)


@pytest.mark.parametrize("speaker", [1, 2])
def test_aroused_emotions_are_higher_than_sadness_and_neutral(speaker: int) -> None:
    high = min(mean_f0_hz(emotion, speaker=speaker) for emotion in ("ANG", "FEA", "HAP"))
    low = max(mean_f0_hz(emotion, speaker=speaker) for emotion in ("NEU", "SAD"))
    assert high > 1.05 * low


def test_a_woman_speaks_higher_than_a_man() -> None:
    assert mean_f0_hz("NEU", speaker=2) > 1.3 * mean_f0_hz("NEU", speaker=1)


def test_sadness_is_slower_than_anger() -> None:
    lengths = {emotion: np.mean([len(clip) for clip in takes_of(emotion, speaker=1)]) for emotion in ("ANG", "SAD")}
    assert lengths["SAD"] > 1.15 * lengths["ANG"]


def test_anger_is_louder_than_sadness() -> None:
    levels = {emotion: np.mean([clip.std() for clip in takes_of(emotion, speaker=1)]) for emotion in ("ANG", "SAD")}
    assert levels["ANG"] > 1.4 * levels["SAD"]


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="JOY"):
        synthesise(make_speaker(1), 1, "JOY", rng)
    with pytest.raises(ValueError, match="sentence 11"):
        synthesise(make_speaker(1), 11, "ANG", rng)
    with pytest.raises(ValueError, match="not 0"):
        make_speaker(0)
    with pytest.raises(ValueError, match="12 sentences"):
        synthesise_corpus(tmp_path / "never", sentences=12)
    assert not (tmp_path / "never").exists()
