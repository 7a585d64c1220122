"""Answer only the last request of a visitor: an hour given by mistake is not waited for."""

from collections.abc import Callable


class Superseded(Exception):
    """Nobody waits for this answer any more."""


class Turns:
    """Keeps whose request is the newest, for each visitor."""

    def __init__(self) -> None:
        self._newest: dict[str, object] = {}

    def take(self, visitor: str) -> Callable[[], None]:
        """End the turn that this visitor had. Returns: what raises `Superseded` once this one is over, too."""
        turn = self._newest[visitor] = object()

        def check() -> None:
            if self._newest.get(visitor) is not turn:
                raise Superseded

        return check

    def leave(self, visitor: str) -> None:
        """Forget a visitor who has gone."""
        self._newest.pop(visitor, None)
