"""How far a download has come: a bar on a terminal, a few plain lines elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from ser_lightning.data.corpora.corpus import RemoteFile

_PLAIN_LINES = 4

log = logging.getLogger(__name__)


class Meter:
    """Counts the bytes and the files that are there, for several threads at once."""

    def __init__(self, files: Sequence[RemoteFile], show: Callable[["Meter"], None]):
        self.n_files = len(files)
        self.n_files_done = 0
        self.bytes_done = 0
        self.bytes_total = sum(file.size_bytes or 0 for file in files)
        self._show = show
        self._lock = Lock()
        self._at = dict.fromkeys((file.path for file in files), 0)
        self._expected = {file.path: file.size_bytes or 0 for file in files}

    def at(self, path: str, n_bytes: int, *, of: int | None = None) -> None:
        """Say that ``n_bytes`` of a file are there, ``of`` so many where only the server knew."""
        with self._lock:
            self.bytes_done += n_bytes - self._at[path]
            self._at[path] = n_bytes
            if of is not None and not self._expected[path]:
                self.bytes_total += of
                self._expected[path] = of
            self._show(self)

    def file_done(self) -> None:
        """Say that one more file is whole."""
        with self._lock:
            self.n_files_done += 1
            self._show(self)


@contextmanager
def metered(what: str, files: Sequence[RemoteFile]) -> Iterator[Meter]:
    """Yield the meter of a download of ``files``."""
    if not sys.stderr.isatty():
        yield Meter(files, _PlainLines(what))
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)

        def show(meter: Meter) -> None:
            description = f"{what}, {meter.n_files_done} of {meter.n_files} files"
            total = meter.bytes_total or None
            bar.update(task, completed=meter.bytes_done, total=total, description=description)

        yield Meter(files, show)


class _PlainLines:
    """Logs a line at each quarter of the bytes."""

    def __init__(self, what: str):
        self._what = what
        self._n_said = 0

    def __call__(self, meter: Meter) -> None:
        share = meter.bytes_done / meter.bytes_total if meter.bytes_total else 0.0
        if int(share * _PLAIN_LINES) <= self._n_said:
            return
        self._n_said = int(share * _PLAIN_LINES)
        files = f"{meter.n_files_done} of {meter.n_files} files"
        size = f"{meter.bytes_done / 1e6:.1f} of {meter.bytes_total / 1e6:.1f} MB"
        log.info("downloading %s: %s, %s", self._what, files, size)
