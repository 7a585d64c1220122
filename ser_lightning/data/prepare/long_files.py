"""Refuse recordings that are longer than a network should take, by their headers where these tell."""

from collections.abc import Sequence

from ser_lightning.data.corpora import Corpus
from ser_lightning.data.prepare.scan import Scan
from ser_lightning.data.prepare.sound_file import header_seconds
from ser_lightning.utils.errors import UserError, counted, some

_BYTES_PER_S = 1_600  # of any sound but the most compressed, whose length decoding finds out


def refuse_long_files(corpus: Corpus, scanned: Scan, most_s: float) -> None:
    """Raise UserError where headers say that files are longer than ``most_s``; only large files are opened."""
    large = [file for file in scanned.files if file.size_bytes > most_s * _BYTES_PER_S]
    lengths = [(file.path, header_seconds(scanned.folder / file.path)) for file in large]
    refuse_long(corpus, [(path, seconds) for path, seconds in lengths if seconds is not None], most_s)


def refuse_long(corpus: Corpus, lengths_s: Sequence[tuple[str, float]], most_s: float) -> None:
    """Raise UserError where any of these, names and lengths, is longer than ``most_s``."""
    long = [(name, seconds) for name, seconds in lengths_s if seconds > most_s]
    if long:
        named = [f"{name} ({_clock(seconds)})" for name, seconds in sorted(long, key=lambda clip: -clip[1])]
        are = "is" if len(long) == 1 else "are"
        raise UserError(
            f"{counted(long, 'clip')} of {corpus.title} {are} longer than data.max_clip_seconds={most_s:g}: "
            f"{some(named)}. Train on pieces of them with data.on_long=split, on their middle with "
            "data.on_long=crop, or raise data.max_clip_seconds, which takes memory"
        )


def _clock(duration_s: float) -> str:
    """Return a duration as hours, minutes and seconds, ``"1:02:03"``."""
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
