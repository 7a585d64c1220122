"""Lengths that headers announce: believed, corrected, or what is missing is missed."""

import io
import os
import struct

import numpy as np
import pytest
import soundfile

from ser_lightning.data.prepare.decoding import UnreadableAudio, decode

LENGTH = {  # what comes before the length of the sound, and how that is packed
    "WAV": (b"data", "<I"),
    "AIFF": (b"SSND", ">I"),
    "AU": (b".snd\0\0\0\x18", ">I"),
    "CAF": (b"data", ">Q"),
    "RF64": (b"ds64\x1c\0\0\0" + struct.pack("<Q", 104 + 2 * 8001 - 8), "<Q"),
}
UNKNOWN = (0, 0x7FFF0000, 0x7FFFF000, 0x7FFFFF00, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36, 0xFFFFFFFF, 2**64 - 1)


def saying(kind, length, *, subtype="PCM_16", after=b"", cut=0):
    """The bytes of 8,001 frames whose header says that they are so many bytes, and their samples."""
    samples = (np.random.default_rng(0).uniform(-0.9, 0.9, 8001) * 32768).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=kind, subtype=subtype)
    content, (before, packed) = file.getvalue(), LENGTH[kind]
    start = content.index(before) + len(before)
    true = struct.unpack_from(packed, content, start)[0]
    told = struct.pack(packed, length(true) if callable(length) else length)
    changed = content[:start] + told + content[start + len(told) :]
    return changed[: len(changed) - cut] + after, samples


@pytest.mark.parametrize("kind", LENGTH)
@pytest.mark.parametrize("length", UNKNOWN)
def test_a_length_that_was_not_known_when_it_was_written_is_that_of_the_file(tmp_path, kind, length):
    """arecord, sox, ffmpeg, Android's recorders, and what was killed while it recorded."""
    length = min(length, 2 ** (8 * struct.calcsize(LENGTH[kind][1])) - 1)
    content, samples = saying(kind, length)
    (tmp_path / "a").write_bytes(content)
    assert np.array_equal(decode(tmp_path / "a").samples, samples)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "RF64"])
@pytest.mark.parametrize("wrong", [-36, -3, -2, -1, 1, 2, 3, 8, 36])
def test_a_length_that_is_wrong_by_a_few_bytes_is_that_of_the_file_where_its_header_covers_it(
    tmp_path, kind, wrong
):
    content, samples = saying(kind, lambda true: true + wrong)
    (tmp_path / "a").write_bytes(content)
    assert np.array_equal(decode(tmp_path / "a").samples, samples)


@pytest.mark.parametrize("kind", ["AU", "CAF"])
def test_an_odd_byte_makes_no_difference(tmp_path, kind):
    for wrong in (-1, 1):
        content, samples = saying(kind, lambda true, wrong=wrong: true + wrong)
        (tmp_path / "a").write_bytes(content)
        assert np.array_equal(decode(tmp_path / "a").samples, samples)


def test_a_byte_of_padding_that_is_announced_and_not_there_is_not_missed(tmp_path):
    content, _ = saying("WAV", lambda true: true + 1, subtype="PCM_24", cut=1)  # 24,003 bytes of sound
    (tmp_path / "a.wav").write_bytes(content)
    assert len(decode(tmp_path / "a.wav").samples) == 8001


@pytest.mark.parametrize("kind", LENGTH)
@pytest.mark.parametrize("cut", [1, 2, 3, 40, 8000])
def test_a_frame_that_is_missing_is_missed(tmp_path, kind, cut):
    content, _ = saying(kind, lambda true: true, cut=cut)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UnreadableAudio, match="is truncated"):
        decode(tmp_path / "a")


def test_of_gigabytes_that_are_announced_a_part_is_truncated(tmp_path):
    content, _ = saying("WAV", 3_000_000_000)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(decode(tmp_path / "a.wav").samples) == 8001  # a placeholder: no such file is cut down to 16 kB
    os.truncate(tmp_path / "a.wav", 1_000_000_000)  # a hole: it takes no room
    with pytest.raises(UnreadableAudio, match="truncated"):
        decode(tmp_path / "a.wav")


def test_a_wav_without_sound_before_its_other_chunks_holds_none(tmp_path):
    content, _ = saying("WAV", 0)
    start = content.index(b"data") + 8
    (tmp_path / "a.wav").write_bytes(content[:start] + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(UnreadableAudio, match="no audio samples"):
        decode(tmp_path / "a.wav")


@pytest.mark.parametrize("length", [lambda true: true, lambda true: true - 1])
def test_chunks_after_the_sound_are_no_sound(tmp_path, length):
    content, samples = saying("WAV", length, after=b"LIST" + struct.pack("<I", 4) + b"INFO")
    whole = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    (tmp_path / "a.wav").write_bytes(whole)
    assert np.array_equal(decode(tmp_path / "a.wav").samples, samples)


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "CAF"])
def test_what_was_transferred_as_text_is_no_sound(tmp_path, kind):
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, 16_000).astype(np.int16)
    soundfile.write(tmp_path / "a", noise, 16_000, format=kind, subtype="PCM_16")
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[:12] + content[12:].replace(b"\n", b"\r\n"))
    with pytest.raises(UnreadableAudio, match="was transferred as text"):
        decode(tmp_path / "a")


def test_a_tone_of_two_bytes_that_look_like_ends_of_lines_is_sound(tmp_path):
    samples = np.full(8_000, int.from_bytes(b"\r\n", "little"), np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    assert np.array_equal(decode(tmp_path / "a.wav").samples, samples)
