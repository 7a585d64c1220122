"""A corpus whose sounds are decoded: a memory map, and what is known of each clip.

N: clips.  B: clips of a batch.  T: samples of its longest.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ser_lightning.data.manifest import Manifest
from ser_lightning.data.prepare.decoding import padded
from ser_lightning.data.prepare.packing import SAMPLES
from ser_lightning.data.prepare.preparation_report import Report


class PackedCorpus:
    """A corpus in the cache: its manifest, its report, and its samples by clip.

    Args:
        folder: of its sounds, in the cache; None where they are not decoded yet.
        manifest: its clips.
        report: what preparation found.
        starts: (N,) int64, where each clip begins in the samples.
    """

    def __init__(self, folder: Path | None, manifest: Manifest, report: Report, starts: np.ndarray):
        self.folder = folder
        self.manifest = manifest
        self.report = report
        self.n_samples = np.array([row.n_samples for row in manifest], dtype=np.int64)
        self._starts = starts
        self._map = None
        if folder is not None:
            with (folder / SAMPLES).open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[type["PackedCorpus"], tuple[Path | None, Manifest, Report, np.ndarray]]:
        # a worker process opens the map itself
        return PackedCorpus, (self.folder, self.manifest, self.report, self._starts)

    def gather(
        self, rows: Sequence[int], start: np.ndarray | int = 0, n_samples: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Copy clips out of the map, or ``n_samples`` (B,) of each from ``start`` (B,) on.

        Returns: (B, T) int16, padded with zeros to the longest, and (B,) int64 lengths.
        """
        assert self._map is not None, "the corpus is not decoded"
        samples = np.frombuffer(self._map, dtype="<i2")
        lengths = self.n_samples[rows] if n_samples is None else n_samples
        places = zip(self._starts[rows] + start, lengths, strict=True)
        batch = padded([samples[first : first + length] for first, length in places])
        if hasattr(mmap, "MADV_DONTNEED"):  # what was read stays in the system's cache, and not in our memory
            self._map.madvise(mmap.MADV_DONTNEED)
        return batch
