"""Show how far something has come: a bar on a terminal, a few plain lines elsewhere."""

import logging
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from ser_lightning.utils.terminal import SafeConsole

T = TypeVar("T")
_PLAIN_LINES = 4

log = logging.getLogger(__name__)


class Progress:
    """Counts what is done, items or bytes, for several threads at once; ``note`` is shown beside it."""

    def __init__(self, total: int, show: Callable[["Progress"], None], console: SafeConsole):
        self.done, self.total, self.note = 0, total, ""
        self._parts: dict[Hashable, tuple[int, int]] = {}  # of each, what is done and what there is
        self._show, self._console, self._lock = show, console, Lock()

    def advance(self, n: int = 1, *, note: str | None = None) -> None:
        """Count ``n`` more as done."""
        with self._lock:
            self.done += n
            self.note = self.note if note is None else note
            self._show(self)

    def at(self, part: Hashable, done: int, *, of: int | None = None) -> None:
        """Set how much of a part is done; ``of`` adds to the total the first time that it is known."""
        with self._lock:
            was_done, known = self._parts.get(part, (0, 0))
            self._parts[part] = done, known or of or 0
            self.done += done - was_done
            self.total += self._parts[part][1] - known
            self._show(self)

    def say(self, text: str) -> None:
        """Write a line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(what: str, total: int = 0, *, in_bytes: bool = False, lasting: bool = True) -> Iterator[Progress]:
    """Yield a progress towards ``total``, 0 where it is not known yet.

    ``lasting``: False for a bar that is gone at its end, and for no lines where there is no terminal.
    """
    console = SafeConsole(stderr=True)
    if not sys.stderr.isatty():
        yield Progress(total, _plain_lines(what, in_bytes) if lasting else lambda now: None, console)
        return
    from rich import progress as bars

    amount = (bars.DownloadColumn(), bars.TransferSpeedColumn()) if in_bytes else (bars.MofNCompleteColumn(),)
    text = bars.TextColumn("{task.description}", markup=False)
    with bars.Progress(
        text, bars.BarColumn(), *amount, bars.TimeRemainingColumn(), console=console, transient=not lasting
    ) as bar:
        task = bar.add_task(what, total=total or None)

        def show(now: Progress) -> None:
            description = ", ".join(filter(None, (what, now.note)))
            bar.update(task, completed=now.done, total=now.total or None, description=description)

        yield Progress(total, show, console)


def track(items: Sequence[T], what: str, *, size: Callable[[T], int] = lambda item: 1) -> Iterable[T]:
    """Go through ``items``, showing how far it has come; ``size=len`` counts what batches hold, not batches."""
    with progress(what, sum(map(size, items))) as bar:
        for item in items:
            yield item
            bar.advance(size(item))


def _plain_lines(what: str, in_bytes: bool) -> Callable[[Progress], None]:
    """Return a function that logs a line at each quarter of the total."""
    n_logged = 0

    def show(now: Progress) -> None:
        nonlocal n_logged
        quarters = now.done * _PLAIN_LINES // now.total if now.total else 0
        if quarters > n_logged:
            n_logged = quarters
            amount = (
                f"{now.done / 1e6:.1f} of {now.total / 1e6:.1f} MB" if in_bytes else f"{now.done} of {now.total}"
            )
            log.info("%s: %s", what, ", ".join(filter(None, (now.note, amount))))

    return show
