"""Say how an attempt to fetch a file failed; the messages read on after a host's name."""


class Unavailable(Exception):
    """An error of an address that does not give the file: the next may."""


class TryLater(Unavailable):
    """An error of an address that may give the file yet; ``after_s`` is when to ask, where the server says so."""

    def __init__(self, reason: str, *, after_s: float | None = None):
        super().__init__(reason)
        self.after_s = after_s


class Unreachable(TryLater):
    """An error of a host that no way leads to: its name cannot be resolved, or the network is not there."""


class Corrupt(Unavailable):
    """An error of content that came in full, and is not the file."""


class Stopped(Exception):
    """An error of a file that was on its way when the download was called off."""
