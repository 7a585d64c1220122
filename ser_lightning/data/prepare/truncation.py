"""Refuse files that are cut off, damaged or no audio, by what their containers declare.

libsndfile reads many such files without a word, as far as they go.
"""

import math
import mmap
import os
import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

# Where the first chunk of name, length and content lies, how name and length are packed, what a chunk is padded to.
_CHUNKED = {
    b"RIFF": (12, "<4sI", 2),
    b"RIFX": (12, ">4sI", 2),
    b"RF64": (12, "<4sI", 2),
    b"FORM": (12, ">4sI", 2),
    b"caff": (8, ">4sQ", 1),
}
_KINDS = (b"WAVE", b"AIFF", b"AIFC", b"desc")
_LEAD = {b"FORM": 8, b"caff": 4}  # bytes between the header of the chunk of sound and the sound
_KNOWN_CHUNKS = frozenset(
    (b"LIST", b"JUNK", b"bext", b"cue ", b"smpl", b"fact", b"PEAK", b"id3 ", b"ID3 ", b"afsp")
)
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # of a sample, by encoding
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class UnreadableAudio(ValueError):
    """A file that cannot be taken for the sound it should hold; the message says why."""


class InaccessibleAudio(UnreadableAudio):
    """A file that the system does not let be read: it may be another time, and nothing is known of its contents."""


def several(kind: str) -> UnreadableAudio:
    """Return the error for files that were put together."""
    return UnreadableAudio(f"holds several {kind} streams, of which only the first would be read")


@dataclass(frozen=True)
class Correction:
    """A correction of a header's length of the sound, where it is of no use: bytes to read instead, and where.

    They stand for ``n_bytes`` of the file; None for as many as they are.
    """

    position: int
    content: bytes
    n_bytes: int | None = None


def read_at(file: BinaryIO, position: int, n_bytes: int) -> bytes:
    """Return the bytes there, fewer at the file's end; leaves the file behind them."""
    file.seek(position)
    return file.read(n_bytes)


def check_container(file: BinaryIO) -> Correction | None:
    """Look for what libsndfile would pass over, put unclearly or guess at; leaves the file anywhere.

    Returns: what libsndfile must read in the header to read all of the sound, and no more.
    Raises: UnreadableAudio for what is truncated, damaged, or no audio.
    """
    size = os.fstat(file.fileno()).st_size
    head = file.read(24)
    refuse_strange_beginning(head)
    _refuse_copied_as_text(read_at(file, 0, 1 << 16))
    head, magic = head.ljust(24, b"\0"), head[:4]
    if magic in _CHUNKED and head[8:12] in _KINDS:
        return _check_chunks(file, size, head)
    if magic in (b".snd", b"dns."):
        return _check_au(file, head, size)
    if magic == b"OggS":
        refuse_damaged_ogg(file, size)
    elif head.startswith(b"NIST_1A\n"):
        _refuse_cut_sphere(file, size)
    elif magic == b"fLaC":
        _refuse_joined_flac(file)
    return None


def refuse_strange_beginning(head: bytes) -> None:
    """Raise UnreadableAudio for the first bytes of a file that libsndfile does not read, or not reliably."""
    if not head:
        raise UnreadableAudio("is empty (0 bytes)")
    if head.startswith(b"version http"):
        raise UnreadableAudio("is a Git LFS pointer, not the audio itself: run `git lfs pull`")
    if head.startswith((b".snd", b"dns.", b"OggS", b"NIST_1A\n", b"ID3", b"fLaC")):
        return
    if head[:4] in _CHUNKED and head[8:12] in _KINDS:
        return
    if not (head[0] == 0xFF and len(head) > 1 and head[1] >= 0xE0):  # an MP3
        raise UnreadableAudio(
            "cannot be decoded (it begins like no format that is read here: convert it to WAV or FLAC)"
        )


def _refuse_copied_as_text(content: bytes) -> None:
    """Raise UnreadableAudio for a file (its beginning) whose line feeds a text transfer made two bytes each."""
    n_feeds, n_returns = content.count(b"\n"), content.count(b"\r")
    # by chance, one line feed of 256 follows a carriage return
    if n_feeds >= 16 and content.count(b"\r\n") == n_feeds and n_returns >= n_feeds + 4:
        raise UnreadableAudio("was transferred as text, which changed its bytes: transfer it again as binary")


def _check_chunks(file: BinaryIO, size: int, head: bytes) -> Correction | None:
    """Walk to the chunk of sound, and compare its length with what is there."""
    magic = head[:4]
    position, header, padded_to = _CHUNKED[magic]
    n_header, frame, ds64 = struct.calcsize(header), 1, None
    file_end = None if magic == b"caff" else 8 + struct.unpack(header[0] + "I", head[4:8])[0]
    while position + n_header <= size:
        file.seek(position)
        name, length = struct.unpack(header, file.read(n_header))
        start = position + n_header
        if name in (b"data", b"SSND"):
            break
        if name == b"ds64":  # of RF64, for more than 4 GB
            ds64, (riff_length, length_64) = start + 8, struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
            file_end = 8 + riff_length
        elif name in (b"fmt ", b"COMM", b"desc"):
            frame = _frame_bytes(name, header[0], head[8:12], file.read(24).ljust(24, b"\0"))
        position = start + length + -length % padded_to
    else:
        raise UnreadableAudio("is truncated or damaged: its header announces no sound")
    lead = _LEAD.get(magic, 0)
    if length == 0xFFFFFFFF and ds64 is not None:
        length = length_64
    n_there, n_announced = max(0, size - start - lead), max(0, length - lead)
    after = start + length + -length % padded_to
    for end in (after, file_end):
        if end is not None and end < size and read_at(file, end, 4) == magic:
            raise several({b"FORM": "AIFF", b"caff": "CAF"}.get(magic, "WAV"))
    if length <= size - start and not _chunks_follow(file, after, size, header, padded_to):
        n_announced = n_there if n_announced == 0 or file_end == size else n_announced
    elif n_announced % frame and (after - start - lead) % frame == 0:
        n_announced = after - start - lead  # an odd length, whose last byte was taken for padding
    if file_end is not None and file_end - length % padded_to <= size <= file_end:  # nothing was cut off
        n_announced = min(n_announced, n_there)
    n_sound = lead + _readable_bytes(n_announced, n_there, frame)
    if n_sound == length:
        return None
    if ds64 is not None:
        return Correction(ds64, struct.pack("<Q", n_sound))
    length_field = header[0] + header[-1]
    return Correction(start - struct.calcsize(length_field), struct.pack(length_field, n_sound))


def _frame_bytes(name: bytes, order: str, kind: bytes, content: bytes) -> int:
    """Return the bytes of a frame, or of a block of frames encoded together; 1 where that is not known."""
    if name == b"fmt ":
        n_bytes = struct.unpack(order + "H", content[12:14])[0]
    elif name == b"desc":
        n_bytes = struct.unpack(">I", content[16:20])[0]
    else:
        channels, _, bits = struct.unpack(">HIH", content[:8])
        n_bytes = channels * -(-bits // 8) if kind == b"AIFF" else 1
    return max(1, n_bytes)


def _chunks_follow(file: BinaryIO, position: int, size: int, header: str, padded_to: int) -> bool:
    """Return whether what follows the sound, if anything, is chunks, the last of them possibly cut off."""
    n_header = struct.calcsize(header)
    while position + n_header <= size:
        file.seek(position)
        name, length = struct.unpack(header, file.read(n_header))
        position += n_header + length + -length % padded_to
        if name in _KNOWN_CHUNKS:
            return True
        if not (name.isascii() and name.decode("ascii").isprintable() and position <= size):
            return False
    return position >= size


def _readable_bytes(n_announced: int, n_there: int, frame: int) -> int:
    """Return the bytes of sound that can be read, given the length that a header announces.

    A length is unknown where it is what programs write before they know it: a little less than 2 or 4 GB or 2^64,
    or gigabytes of which nearly nothing is there. Less than a frame may be missing: a byte of padding is not sound.
    """
    a_limit = any(limit - 0x10008 <= n_announced <= limit for limit in (2**31, 2**32)) or n_announced >= 2**62
    nearly_nothing = n_announced >= 2**31 and n_there < n_announced // 16
    if n_announced > n_there and not (a_limit or nearly_nothing) and n_there // frame < n_announced // frame:
        raise UnreadableAudio(f"is truncated: {n_there} of {n_announced} bytes of sound are there")
    if n_announced % frame and n_announced < n_there < n_announced + frame:
        n_announced = n_there
    n_sound = min(n_announced, n_there)
    return n_sound - n_sound % frame


def _check_au(file: BinaryIO, head: bytes, size: int) -> Correction | None:
    """Compare the length that an AU header announces, if it does, with what is there."""
    order = ">" if head[:4] == b".snd" else "<"
    start, length, encoding, _, channels = struct.unpack(order + "5I", head[4:24])
    n_there = max(0, size - start)
    if length and read_at(file, start + length, 4) == head[:4]:
        raise several("AU")
    n_sound = _readable_bytes(length or n_there, n_there, max(1, _AU_BYTES.get(encoding, 1) * channels))
    return None if n_sound == length else Correction(8, struct.pack(order + "I", min(n_sound, 0xFFFFFFFF)))


def _refuse_cut_sphere(file: BinaryIO, size: int) -> None:
    """Compare the length that a SPHERE header announces; libsndfile reads on to the file's end.

    The header is text with lines like ``sample_count -i 36409``.
    """
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
    _readable_bytes(n_announced, n_there, 1)  # an error where it is truncated
    if n_there > n_announced:
        raise UnreadableAudio(f"is damaged: {n_there} bytes of sound are there, and {n_announced} announced")


def _refuse_joined_flac(file: BinaryIO) -> None:
    """Look for the first bytes of a further FLAC: libsndfile reads one of several that were put together."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for begins in (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"):  # and a block of stream information, 34 bytes
            if content.find(begins, 1) > 0:
                raise several("FLAC")


def refuse_damaged_ogg(file: BinaryIO, size: int) -> None:
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
            raise several("Ogg")
        position += len(page)
        last = bool(page[5] & 4)
    if not last:
        raise UnreadableAudio(f"is truncated or damaged: its Ogg stream breaks off at byte {position} of {size}")


def _ogg_checksum(page: bytes) -> bytes:
    """Return a page's CRC-32, its own field zeroed: zlib's polynomial, the other way round, without inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED_BITS)
    return struct.pack(">I", ~zlib.crc32(mirrored, 0xFFFFFFFF) & 0xFFFFFFFF).translate(_REVERSED_BITS)
