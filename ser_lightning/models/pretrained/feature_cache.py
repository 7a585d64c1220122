"""Cache the features of a frozen model on disk, by the hash of each clip's sound::

    <model>/00000/states.f16   (L, F, D) of one clip after another, little-endian float16; or states.f32, float32
                  clips.csv    one row a clip, in that order: audio_hash, frames
           /00001/ …

Clips are added a part of some hundred clips at a time; a part is whole or not there, and never changes. So a broken
run goes on where it was, and corpora that share a sound share its features.

B: clips.  L: layers.  F: frames of the longest clip.  D: width.
"""

import csv
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_lightning.utils.errors import UserError
from ser_lightning.utils.files import alone, folder_written_whole, writable
from ser_lightning.utils.progress import track

_PART_BYTES, _PART_CLIPS = 256_000_000, 500  # so many at the most are encoded again after a broken run
_MOST_PARTS = 200  # of very many clips: each is a file that stays open
_BATCH_SAMPLES = 40 * 16_000  # read at a time, padding counted
_TABLE = "clips.csv"
_ROOM = 1.05  # asked for, of what is written

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """A clip to be encoded: its row in a manifest, the hash of its sound, its length and that of its features."""

    row: int
    audio_hash: str
    n_samples: int
    n_frames: int


class FeatureCache:
    """Store the layers of clips, and read them through memory maps.

    Args:
        folder: of one model.
        n_layers, width: L and D.
        title: what the model is called when something is said.
        dtype: "<f2", or "<f4" where float16 would not hold the features.
    """

    def __init__(self, folder: Path, *, n_layers: int, width: int, title: str, dtype: str = "<f2"):
        # a copy, or another process, opens the maps itself
        self._reopened = partial(FeatureCache, folder, n_layers=n_layers, width=width, title=title, dtype=dtype)
        self._folder = folder
        self._n_layers = n_layers
        self._width = width
        self._title = title
        self._dtype = np.dtype(dtype)
        self._file = f"states.f{8 * self._dtype.itemsize}"
        self._maps: list[np.memmap] = []
        self._places: dict[str, tuple[int, int, int]] = {}  # part, first number, frames
        self._open_parts()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopened, ()

    def fill(self, clips: Sequence[Clip], encode: Callable[[list[Clip]], tuple[Tensor, Tensor]]) -> None:
        """Add the clips that are not there yet; ``encode`` returns ((B, L, F, D), frames (B,)) of some.

        Of several processes one does it, and the others wait.
        Raises: UserError where there is no room, or no right, to write.
        """
        if not self._lacking(clips):
            return
        remedy = "set SER_CACHE to a directory that can be, or model.net.store=false"
        waiting = "waiting for another run, which is encoding clips with %s"
        with writable(f"the cache of features {self._folder}", remedy):
            self._folder.mkdir(parents=True, exist_ok=True)
            with alone(self._folder / ".lock", on_wait=lambda: log.info(waiting, self._title)):
                self._open_parts()
                self._add(self._lacking(clips), encode)

    def gather(self, hashes: Sequence[str], layers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return ((B, chosen layers, F, D), zero beyond a clip's end, frames (B,))."""
        frames = [self._places[audio_hash][2] for audio_hash in hashes]
        states = np.zeros((len(hashes), len(layers), max(frames), self._width), dtype=self._dtype)
        for row, audio_hash in zip(states, hashes, strict=True):
            part, start, n_frames = self._places[audio_hash]
            stop = start + self._n_layers * n_frames * self._width
            clip = self._maps[part][start:stop].reshape(self._n_layers, n_frames, self._width)
            for to, layer in zip(row, layers, strict=True):
                to[:n_frames] = clip[layer]
        return torch.from_numpy(states), torch.tensor(frames)

    def _open_parts(self) -> None:
        """Map the parts that are not mapped yet."""
        parts = sorted(path for path in self._folder.glob("[0-9]*") if path.name.isdigit())
        for folder in parts[len(self._maps) :]:
            start = 0
            with (folder / _TABLE).open(newline="", encoding="utf-8") as file:
                for clip in csv.DictReader(file):
                    n_frames = int(clip["frames"])
                    self._places[clip["audio_hash"]] = (len(self._maps), start, n_frames)
                    start += self._n_layers * n_frames * self._width
            self._maps.append(np.memmap(folder / self._file, dtype=self._dtype, mode="r"))

    def _lacking(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return one clip of every sound that is not there, the longest first."""
        lacking = {clip.audio_hash: clip for clip in clips if clip.audio_hash not in self._places}
        return sorted(lacking.values(), key=lambda clip: -clip.n_samples)

    def _add(self, lacking: list[Clip], encode: Callable[[list[Clip]], tuple[Tensor, Tensor]]) -> None:
        if not lacking:
            return
        total = self._bytes(lacking)
        log.info(
            "encoding %d clips with %s, once: %s in %s", len(lacking), self._title, _gigabytes(total), self._folder
        )
        free = shutil.disk_usage(self._folder).free
        if free < total * _ROOM:
            raise UserError(
                f"the features take {_gigabytes(total)}, and {self._folder} has room for {_gigabytes(free)}: "
                "set SER_CACHE to a larger disk, average frames (model.net.average_frames=4 takes a quarter), "
                "or do without (model.net.store=false)"
            )
        batches = list(_cut(lacking, lambda batch: batch[0].n_samples * len(batch) > _BATCH_SAMPLES))
        progress = iter(track(batches, "encoding", size=len))
        most_clips = max(_PART_CLIPS, len(lacking) // _MOST_PARTS)

        def is_too_much(part: list[list[Clip]]) -> bool:
            return sum(map(self._bytes, part)) > _PART_BYTES or sum(map(len, part)) > most_clips

        for part in list(_cut(batches, is_too_much)):
            with folder_written_whole(self._folder / f"{len(self._maps):05d}") as unfinished:
                self._write(unfinished, islice(progress, len(part)), encode)
            self._open_parts()

    def _bytes(self, clips: Sequence[Clip]) -> int:
        return self._dtype.itemsize * self._n_layers * self._width * sum(clip.n_frames for clip in clips)

    def _write(
        self,
        folder: Path,
        batches: Iterator[list[Clip]],
        encode: Callable[[list[Clip]], tuple[Tensor, Tensor]],
    ) -> None:
        with (
            (folder / self._file).open("wb") as data,
            (folder / _TABLE).open("w", encoding="utf-8") as table,
        ):
            table.write("audio_hash,frames\n")
            for batch in batches:
                states, frames = (tensor.cpu() for tensor in encode(batch))
                for clip, own, n_frames in zip(batch, states, frames.tolist(), strict=True):
                    data.write(own[:, :n_frames].contiguous().numpy().astype(self._dtype).data)
                    table.write(f"{clip.audio_hash},{n_frames}\n")
            for file in (data, table):
                file.flush()
                os.fsync(file.fileno())


def _cut(items: Sequence, is_too_much: Callable[[list], bool]) -> Iterator[list]:
    """Yield runs of items, each as long as it can be."""
    run: list = []
    for item in items:
        if run and is_too_much([*run, item]):
            yield run
            run = []
        run.append(item)
    if run:
        yield run


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes > 1e8 else f"{n_bytes / 1e6:.1f} MB"
