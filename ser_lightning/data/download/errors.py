"""Errors that an attempt to fetch a file ends with. The messages read on after a host's name."""


class NotHad(Exception):
    """This address does not give the file: the next may."""


class TryLater(NotHad):
    """This address may give the file yet; ``after_s`` is when to ask, where the server says so."""

    def __init__(self, reason: str, *, after_s: float | None = None):
        super().__init__(reason)
        self.after_s = after_s


class Unreachable(TryLater):
    """There is no way to the host: its name cannot be resolved, or the network is not there."""


class Spoilt(NotHad):
    """Everything came, and it is not the file."""


class Stopped(Exception):
    """The download was called off while this file was on its way."""
