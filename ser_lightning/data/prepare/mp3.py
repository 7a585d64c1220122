"""Count the frames of an MP3, where libsndfile would guess how long it is.

An encoder that can go back writes a first frame without sound that says how many follow (Xing's, or LAME's "Info").
Streams and files from a pipe have none, or an empty one: libsndfile then takes all frames to be as large as the
first, and reads a third of a file of a variable bitrate.

ISO/IEC 11172-3, 2.4.1 and 2.4.2.3, and 13818-3 for the lower rates.
"""

import struct
from typing import BinaryIO

from ser_lightning.data.prepare.truncation import Correction, UnreadableAudio, read_at

_KBITS = {  # by index, of layer III, in MPEG 1 and in MPEG 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version
_BLOCK_BYTES = 1 << 16
_LONGEST_LYRICS = 1 << 20  # bytes
_BYTES_64_KBITS = {True: 5 << 4, False: 8 << 4}  # the third byte of a header, as good as any


def check_frames(file: BinaryIO, size: int) -> Correction | None:
    """Walk from frame to frame of a file that begins as an MP3 does; leaves it anywhere.

    Returns: a first frame that says how many follow, where the file's own does not; None where it does, and
        for what is no MP3 of this kind (layer I or II, a free bitrate), of which libsndfile judges.
    Raises: UnreadableAudio for one whose last frame is cut off, or that goes on as no MP3 does: a decoder would
        pass over what is damaged, or stop there.
    """
    position = _skip_tags(file, 0)
    first = read_at(file, position, 256)
    if _frame_bytes(first) is None:
        return None
    announced = _announced_frames(first)  # None: the first frame is sound
    start = position if announced is None else position + (_frame_bytes(first) or 0)
    n_frames, end = _count_frames(file, start)
    if announced and announced <= n_frames <= announced + 1:  # some count their own
        return None
    if (n_bytes := _frame_bytes(read_at(file, end, 4))) is not None and end + n_bytes > size:
        raise UnreadableAudio(f"is truncated: its last MP3 frame has {size - end} of {n_bytes} bytes")
    if _skip_padding(file, end) < size:
        raise UnreadableAudio(f"is damaged: no MP3 frame begins at byte {end} of {size}")
    if n_frames < (announced or 0):
        return None
    # A frame without sound, of the kind of the first one, that says how many follow; without a checksum.
    bitrate = _BYTES_64_KBITS[first[1] >> 3 & 3 == 3]
    header = bytes((0xFF, first[1] | 1, bitrate | first[2] & 0x0C, first[3]))
    content = header + bytes(_side_bytes(first)) + b"Xing" + struct.pack(">II", 1, n_frames)
    return Correction(0, content.ljust(_frame_bytes(header) or 0, b"\0"), start)


def _count_frames(file: BinaryIO, position: int) -> tuple[int, int]:
    """Return how many frames there are from here on, and where the last one ends."""
    n_frames = 0
    while True:
        n_bytes = _frame_bytes(read_at(file, position, 4))
        if n_bytes is None and (behind := _skip_tags(file, position)) > position:
            position = behind
            continue
        if n_bytes is None or len(read_at(file, position + n_bytes - 1, 1)) < 1:
            return n_frames, position
        n_frames, position = n_frames + 1, position + n_bytes


def _skip_tags(file: BinaryIO, position: int) -> int:
    """Return where the tags end that begin here: of ID3v2, ID3v1 and its extension, APE or Lyrics3.

    They lie before the sound, behind it, or between two MP3s put together.
    """
    while True:
        head = read_at(file, position, 32)
        if head.startswith(b"ID3") and len(head) >= 10:
            length = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            position += 10 + length + (10 if head[5] & 0x10 else 0)
        elif head.startswith(b"TAG"):
            position += 227 if head.startswith(b"TAG+") else 128
        elif head.startswith(b"APETAGEX") and len(head) == 32:
            position += 32 + int.from_bytes(head[12:16], "little")  # items and footer, behind this header
        elif head.startswith(b"LYRICSBEGIN"):
            lyrics = read_at(file, position, _LONGEST_LYRICS)
            ends = [end for mark in (b"LYRICS200", b"LYRICSEND") if (end := lyrics.find(mark)) > 0]
            if not ends:
                return position
            position += min(ends) + 9
        else:
            return position


def _skip_padding(file: BinaryIO, position: int) -> int:
    """Return where the zeros and tags end that begin here."""
    while block := read_at(file, position, _BLOCK_BYTES):
        behind = _skip_tags(file, position + len(block) - len(block.lstrip(b"\0")))
        if behind == position:
            break
        position = behind
    return position


def _frame_bytes(head: bytes) -> int | None:
    """Return the length of the layer III frame that begins so; None for anything else."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate, is_padded = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version not in _RATES_HZ or rate == 3 or not 0 < bitrate < 15:
        return None
    kbits = _KBITS[version == 3][bitrate]
    return (144 if version == 3 else 72) * 1000 * kbits // _RATES_HZ[version][rate] + is_padded


def _announced_frames(first: bytes) -> int | None:
    """Return how many frames a first frame says that follow, 0 where it leaves that out; None where it is sound."""
    place = 4 + _side_bytes(first)
    if first[place : place + 4] in (b"Xing", b"Info"):
        flags, n_frames = struct.unpack(">II", first[place + 4 : place + 12].ljust(8, b"\0"))
        return n_frames if flags & 1 else 0
    return 0 if first[36:40] == b"VBRI" else None  # libsndfile does not read Fraunhofer's


def _side_bytes(head: bytes) -> int:
    """Return the length of a frame's side information, by its version and its channels."""
    is_first_version, is_mono = head[1] >> 3 & 3 == 3, head[3] >> 6 == 3
    return (17 if is_mono else 32) if is_first_version else (9 if is_mono else 17)
