"""A progress bar on a terminal, a few plain lines elsewhere."""

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
_PLAIN_LINES = 4

log = logging.getLogger(__name__)


def track(items: Sequence[T], what: str) -> Iterable[T]:
    """Go through ``items``, saying how far it has come."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        return bar(items, description=what, console=Console(stderr=True))
    return _plain(items, what)


def _plain(items: Sequence[T], what: str) -> Iterator[T]:
    step = max(1, len(items) // _PLAIN_LINES)
    for number, item in enumerate(items, 1):
        yield item
        if number % step == 0 or number == len(items):
            log.info("%s: %d of %d", what, number, len(items))
