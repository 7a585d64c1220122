"""What the formats' containers say of themselves: a file that is cut off, damaged or no audio is refused.

libsndfile reads many such files without a word, as far as they go.
"""

import math
import os
import re
import struct
import zlib
from typing import BinaryIO


class UnreadableAudio(ValueError):
    """A file that cannot be taken for the sound it should hold; the message says why."""


def refuse_what_is_no_audio(file: BinaryIO) -> None:
    """Look for what libsndfile would pass over, put unclearly or guess at; leaves the file anywhere."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(16).ljust(16, b"\0")
    if size == 0:
        raise UnreadableAudio("is empty (0 bytes)")
    if head.startswith(b"version http"):
        raise UnreadableAudio("is a Git LFS pointer, not the audio itself: run `git lfs pull`")
    magic = head[:4]
    if magic in _CHUNKED and head[8:12] in _KINDS:
        _refuse_cut_chunks(file, size, *_CHUNKED[magic])
    elif magic == b"OggS":
        _refuse_damaged_ogg(file, size)
    elif magic in (b".snd", b"dns."):
        start, length = struct.unpack((">" if magic == b".snd" else "<") + "II", head[4:12])
        _refuse_short(size - start, length)
    elif head.startswith(b"NIST_1A\n"):
        _refuse_cut_sphere(file, size)
    elif not (magic[:3] == b"ID3" or magic == b"fLaC" or (head[0] == 0xFF and head[1] >= 0xE0)):
        raise UnreadableAudio(
            "cannot be decoded (it begins like no format that is read here: convert it to WAV or FLAC)"
        )


# Where the first chunk of name, length and content lies, how name and length are packed, what a chunk is padded to.
_CHUNKED = {
    b"RIFF": (12, "<4sI", 2),
    b"RIFX": (12, ">4sI", 2),
    b"RF64": (12, "<4sI", 2),
    b"FORM": (12, ">4sI", 2),
    b"caff": (8, ">4sQ", 1),
}
_KINDS = (b"WAVE", b"AIFF", b"AIFC", b"desc")
_LENGTH_UNKNOWN = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 2**64 - 1)  # what programs write into a pipe


def _refuse_cut_chunks(file: BinaryIO, size: int, position: int, header: str, padded_to: int) -> None:
    """Walk to the chunk of sound: libsndfile reads a cut-off one without a word."""
    n_header, length_64 = struct.calcsize(header), 0
    while position + n_header <= size:
        file.seek(position)
        name, length = struct.unpack(header, file.read(n_header))
        position += n_header
        if name == b"ds64":  # of RF64, for more than 4 GB
            length_64 = int.from_bytes(file.read(16)[8:], "little")
        if name in (b"data", b"SSND"):
            return _refuse_short(size - position, length_64 if length == 0xFFFFFFFF and length_64 else length)
        position += length + -length % padded_to
    raise UnreadableAudio("is truncated or damaged: its header announces no sound")


def _refuse_short(n_there: int, n_announced: int) -> None:
    if n_announced not in _LENGTH_UNKNOWN and n_there < n_announced:
        raise UnreadableAudio(f"is truncated: {max(0, n_there)} of {n_announced} bytes of sound are there")


def _refuse_cut_sphere(file: BinaryIO, size: int) -> None:
    """A SPHERE header is text with lines like ``sample_count -i 36409``; libsndfile reads on to the file's end."""
    file.seek(0)
    header = file.read(1024)
    if b"shorten" in header:
        raise UnreadableAudio("is a compressed SPHERE file: expand it with sph2pipe")
    numbers = dict(re.findall(rb"^(\w+) -i (\d{1,18})$", header, re.MULTILINE))
    if b"sample_count" not in numbers or not header[8:16].strip().isdigit():
        raise UnreadableAudio("is damaged: its SPHERE header does not say how long it is")
    n_there = size - int(header[8:16])
    factors = (b"sample_count", b"channel_count", b"sample_n_bytes")
    n_announced = math.prod(int(numbers.get(name, 1)) for name in factors)
    _refuse_short(n_there, n_announced)
    if n_there > n_announced:
        raise UnreadableAudio(f"is damaged: {n_there} bytes of sound are there, and {n_announced} announced")


def _refuse_damaged_ogg(file: BinaryIO, size: int) -> None:
    """Walk the pages of an Ogg file (RFC 3533), each with a checksum, to one that says it is its stream's last.

    libsndfile leaves out a page whose checksum is wrong, and goes on without a word.
    """
    position, last = 0, False
    while position < size:
        file.seek(position)
        page = file.read(27)
        if len(page) < 27 or page[:4] != b"OggS":
            break
        page += file.read(page[26])  # lengths of the parts
        page += file.read(sum(page[27:]))
        if _ogg_checksum(page) != page[22:26]:
            break
        if last:
            raise UnreadableAudio("holds several Ogg streams, of which only the first would be read")
        position += len(page)
        last = bool(page[5] & 4)
    if not last:
        raise UnreadableAudio(f"is truncated or damaged: its Ogg stream breaks off at byte {position} of {size}")


_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> bytes:
    """The page's CRC-32, its own field zeroed: zlib's polynomial, the other way round and without inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    return struct.pack(">I", ~zlib.crc32(mirrored, 0xFFFFFFFF) & 0xFFFFFFFF).translate(_REVERSED_BITS)
