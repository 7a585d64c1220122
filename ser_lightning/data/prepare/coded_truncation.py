"""Find files cut off in formats that FFmpeg decodes, since FFmpeg reads them as far as they go."""

import struct
from collections.abc import Callable
from typing import BinaryIO

from ser_lightning.data.prepare.truncation import UnreadableAudio, refuse_damaged_ogg, several

# Bytes of an AMR frame after its first, by the mode that the first one tells: narrow band and wide band.
_AMR_BYTES = (
    (12, 13, 15, 17, 19, 20, 26, 31, 5, 6, 5, 5, 0, 0, 0, 0),
    (17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 5, 0, 0, 0, 0, 0),
)
# Of Matroska: what a file begins with, what holds everything, and what holds some seconds.
_FIRST, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


def refuse_cut(file: BinaryIO, demuxer: str, size: int) -> None:
    """Walk to the end of a file of ``size`` bytes, by the lengths that are told in it.

    Raises: UnreadableAudio where something reaches beyond the file's end, is no part of such a file, or begins
        another one, which FFmpeg would not read.
    """
    file.seek(0)
    {
        "mov": _walk_boxes,
        "matroska": _walk_elements,
        "asf": _walk_objects,
        "amr": _walk_amr,
        "aac": _walk_adts,
        "ogg": refuse_damaged_ogg,
    }[demuxer](file, size)


def _refuse_beyond(end: int, size: int) -> None:
    if end > size:
        raise UnreadableAudio(f"is truncated: {size} of at least {end} bytes are there")


def _walk_boxes(file: BinaryIO, size: int) -> None:
    """Walk the boxes of MPEG-4 and QuickTime: a length of 32 bits, a name of four letters."""
    position, has_index = 0, False
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8).ljust(8, b"\0"), "big")
        if 0 < length < 8:
            break  # what follows is no box: it is nothing that FFmpeg would look at
        if name == b"moov" and has_index:
            raise several("MPEG-4")
        has_index |= name == b"moov"
        position += length or size - position  # 0: to the end of the file
        _refuse_beyond(position, size)
    if not has_index:
        raise UnreadableAudio("is truncated: the index of what it holds is not there")


def _walk_elements(file: BinaryIO, size: int) -> None:
    """Walk the elements of Matroska and WebM: a name and a length, each of as many bytes as its first one tells.

    The last part of a cluster must end where it ends: FFmpeg leaves out what is damaged between, without a word.
    """
    position, cluster_end = 0, 0
    while position < size:
        if position == cluster_end:
            cluster_end = 0
        file.seek(position)
        head = file.read(12)
        n_name = 9 - head[0].bit_length()
        n_length = 9 - head[n_name].bit_length() if n_name < len(head) else 9
        if n_name > 4 or n_length > 8:
            raise UnreadableAudio(f"is truncated or damaged: it breaks off at byte {position} of {size}")
        name = int.from_bytes(head[:n_name], "big")
        length = int.from_bytes(head[n_name : n_name + n_length], "big") & ~(1 << 7 * n_length)
        if name == _FIRST and position:
            raise several("Matroska")
        unknown = length == (1 << 7 * n_length) - 1  # browsers write as they record
        position += n_name + n_length
        end = position if unknown else position + length
        if 0 < cluster_end < end:
            raise UnreadableAudio(f"is damaged: one of its parts reaches beyond the next, at byte {cluster_end}")
        _refuse_beyond(end, size)
        if name == _CLUSTER and not unknown:
            cluster_end = end
        if name not in (_SEGMENT, _CLUSTER):
            position += length


def _walk_objects(file: BinaryIO, size: int) -> None:
    """Walk the objects of Windows Media: a name of 16 bytes, a length of 8."""
    position = 0
    while position + 24 <= size:
        file.seek(position)
        name, length = file.read(16), int.from_bytes(file.read(8), "little")
        if name == _ASF_HEADER and position:
            raise several("Windows Media")
        if length < 24:  # it was not known while it was broadcast
            return
        position += length
        _refuse_beyond(position, size)


def _walk_amr(file: BinaryIO, size: int) -> None:
    n_bytes = _AMR_BYTES[int(file.readline(16).startswith(b"#!AMR-WB"))]
    _walk_frames(file, size, 1, lambda head: 1 + n_bytes[head[0] >> 3 & 15])


def _walk_adts(file: BinaryIO, size: int) -> None:
    def length(head: bytes) -> int:
        is_frame = head[0] == 0xFF and head[1] & 0xF6 == 0xF0
        return (int.from_bytes(head[3:6], "big") >> 5) & 0x1FFF if is_frame else 0

    _walk_frames(file, size, 7, length)


def _walk_frames(file: BinaryIO, size: int, n_head: int, length: Callable[[bytes], int]) -> None:
    """Walk frames; ``length`` tells a frame's from its first ``n_head`` bytes, 0 where these begin none."""
    position = file.tell()
    while position < size:
        file.seek(position)
        head = file.read(n_head)
        n_bytes = length(head) if len(head) == n_head else 0
        if n_bytes < n_head:
            if head.startswith(b"TAG"):  # a title, of 128 bytes, at the end
                return
            raise UnreadableAudio(f"is truncated or damaged: it breaks off at byte {position} of {size}")
        position += n_bytes
        _refuse_beyond(position, size)
