"""Decode what phones and browsers record, AAC and its like, by PyAV or an installed ffmpeg.

T: samples of a channel.  C: channels.
"""

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ser_lightning.data.prepare.truncation import UnreadableAudio

NEEDS_PACKAGE = "needs one more package"
_WITH_LENGTH = ("mov", "matroska", "asf")  # whose headers say how long they are; of others FFmpeg guesses it
_LEAST_MISSING_S = 0.5  # more than an encoder's padding, and the last packet
_AU_HEADER = struct.Struct(">4s5I")  # name, where the samples begin, their length, encoding, rate, channels


@dataclass(frozen=True)
class CodedFormat:
    """A format by its name for people, and by that of FFmpeg's reader of it."""

    name: str
    demuxer: str


_MPEG_4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # what the first box of a file may be called
_BEGINNINGS = {
    b"\x1aE\xdf\xa3": CodedFormat("WebM or Matroska", "matroska"),
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": CodedFormat("Windows Media (WMA)", "asf"),
    b"#!AMR": CodedFormat("AMR", "amr"),
}
_IN_OGG = {b"\x7fFLAC": "FLAC", b"Speex": "Speex"}  # after a page's header; libsndfile reads Vorbis and Opus alone


def coded_format(head: bytes) -> CodedFormat | None:
    """Return the format that a file's first 33 bytes are of; None where it is none of these."""
    if head.startswith(b"OggS") and head[28:33] in _IN_OGG:
        return CodedFormat(f"Ogg {_IN_OGG[head[28:33]]}", "ogg")
    if head[4:8] in _MPEG_4:
        name = "3GP" if head[8:10] == b"3g" else "AAC or another codec in MPEG-4 (m4a, mp4, mov)"
        return CodedFormat(name, "mov")
    if head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # as an MP3 begins, but for its layer, which is 0
        return CodedFormat("AAC (ADTS)", "aac")
    return next((form for begin, form in _BEGINNINGS.items() if head.startswith(begin)), None)


def coded_decoder() -> str:
    """Return what decodes these formats here: "av", "ffmpeg", or nothing."""
    if find_spec("av") is not None:
        return "av"
    return "ffmpeg" if shutil.which("ffmpeg") is not None else ""


@dataclass
class CodedStream:
    """An audio track that is read from front to back; ``frames`` are (T, C) float32, T as the codec has it."""

    samplerate: int
    channels: int
    frames: Iterator[np.ndarray]
    subtype: str = "FLOAT"

    def read_blocks(self, n_frames: int, dtype: str = "float32") -> Iterator[np.ndarray]:
        """Yield blocks (T, C) of float32, which all codecs here decode to, T about ``n_frames``."""
        held, n_held = [], 0
        for frames in self.frames:
            held.append(frames)
            n_held += len(frames)
            if n_held >= n_frames:
                yield np.concatenate(held)
                held, n_held = [], 0
        if held:
            yield np.concatenate(held)


@contextmanager
def opened_coded(file: BinaryIO, path: Path, form: CodedFormat) -> Iterator[CodedStream]:
    """Open the audio of a file of such a format, with what is installed.

    Raises: UnreadableAudio where it holds no audio track, and where nothing that decodes it is installed.
    """
    with ExitStack() as stack:
        if coded_decoder() == "av":
            yield _by_pyav(stack, file, form)
        elif (program := shutil.which("ffmpeg")) is not None:
            yield _by_ffmpeg(stack, program, path, form)
        else:
            raise UnreadableAudio(
                f"is {form.name}, which {NEEDS_PACKAGE}: pip install -c constraints.txt -e '.[av]' "
                "(or convert it to WAV or FLAC)"
            )


def _by_pyav(stack: ExitStack, file: BinaryIO, form: CodedFormat) -> CodedStream:
    """Open the best audio track with PyAV, until ``stack`` is closed. Raises: UnreadableAudio."""
    import av

    def frames(container: Any, track: Any) -> Iterator[Any]:
        try:
            yield from container.decode(track)
        except av.FFmpegError as error:
            raise UnreadableAudio(f"is damaged, or truncated ({error.strerror})") from error

    try:
        container: Any = stack.enter_context(av.open(file, format=form.demuxer, metadata_errors="replace"))
    except av.FFmpegError as error:
        raise UnreadableAudio(f"is damaged, or truncated: its header cannot be read ({error.strerror})") from error
    track = container.streams.best("audio")
    if track is None:
        raise UnreadableAudio("holds no audio track")
    decoded = frames(container, track)
    first = next(decoded, None)  # it alone knows the rate of AAC whose upper band is coded apart
    if first is None:
        raise UnreadableAudio("holds no audio samples")
    rate_hz, channels = first.sample_rate, first.layout.nb_channels
    tells_length = form.demuxer in _WITH_LENGTH and len(container.streams) == 1 and container.duration
    announced_s = container.duration / av.time_base if tells_length else None
    as_floats = av.AudioResampler(format="flt")  # with neither rate nor layout it changes nothing else

    def arrays() -> Iterator[np.ndarray]:
        frame = first
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (rate_hz, channels):
                raise UnreadableAudio("holds more than one sample rate or number of channels")
            n_frames = frame.samples
            if frame.duration and frame.time_base == Fraction(1, rate_hz):
                n_frames = min(n_frames, frame.duration)  # what fills up a last packet is no sound
            for converted in as_floats.resample(frame):
                yield converted.to_ndarray().reshape(-1, channels)[:n_frames]
            end_s = None if frame.pts is None else float(frame.pts * frame.time_base) + frame.samples / rate_hz
            frame = next(decoded, None)
        if announced_s is not None and end_s is not None and end_s + _LEAST_MISSING_S < announced_s:
            raise UnreadableAudio(f"is damaged, or truncated: it ends at {end_s:.1f} of {announced_s:.1f} seconds")

    return CodedStream(rate_hz, channels, arrays())


def _by_ffmpeg(stack: ExitStack, program: str, path: Path, form: CodedFormat) -> CodedStream:
    """Open the first audio track with ffmpeg, which runs until ``stack`` is closed. Raises: UnreadableAudio.

    It comes through a pipe as an AU file, the simplest that says rate and channels and holds floats.
    """
    complaints: Any = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    source = ["-xerror", "-protocol_whitelist", "file,pipe", "-f", form.demuxer, "-i", f"file:{path.absolute()}"]
    command = [program, "-nostdin", "-v", "error", *source, "-map", "0:a:0", "-c:a", "pcm_f32be", "-f", "au", "-"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL)
    stack.callback(running.wait)
    stack.callback(running.kill)
    assert running.stdout is not None
    output = stack.enter_context(running.stdout)

    def check() -> None:
        if running.wait() != 0 or complaints.tell():
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise UnreadableAudio(f"is damaged, or truncated, or without an audio track (ffmpeg: {lines[-1]})")

    header = output.read(_AU_HEADER.size)
    if len(header) < _AU_HEADER.size:
        check()
        raise UnreadableAudio("holds no audio samples")
    _, start, _, _, rate_hz, channels = _AU_HEADER.unpack(header)
    output.read(start - _AU_HEADER.size)

    def arrays() -> Iterator[np.ndarray]:
        while content := output.read(4 * channels * 16_384):
            yield np.frombuffer(content, ">f4").astype(np.float32).reshape(-1, channels)
        check()

    return CodedStream(rate_hz, channels, arrays())
