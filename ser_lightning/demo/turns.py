"""Of what somebody asks in a row, only the last is answered: an hour given by mistake is not waited for."""

from collections.abc import Callable


class Superseded(Exception):
    """Nobody waits for this answer any more."""


class Turns:
    """Whose turn it is, for each visitor apart."""

    def __init__(self) -> None:
        self._newest: dict[str, object] = {}

    def take(self, visitor: str) -> Callable[[], None]:
        """End the turn that this visitor had. Returns: what raises `Superseded` once this one is over, too."""
        mine = self._newest[visitor] = object()

        def check() -> None:
            if self._newest.get(visitor) is not mine:
                raise Superseded

        return check

    def leave(self, visitor: str) -> None:
        """The visitor has gone."""
        self._newest.pop(visitor, None)
