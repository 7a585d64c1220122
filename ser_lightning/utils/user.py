"""Name the user of a container that gives its user neither a name nor a home."""

import getpass
import os
import tempfile
from contextlib import suppress
from pathlib import Path


def name_user() -> None:
    """Give the user a name and a home, in the environment, where the system knows none and libraries ask for them.

    PyTorch asks for the name when it looks for its cache. A home that is not there would be a folder called ``~``.
    """
    number = os.getuid() if hasattr(os, "getuid") else 0
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        os.environ["USER"] = f"user{number}"
    if os.path.expanduser("~") == "~":
        home = Path(tempfile.gettempdir()) / f"home-of-user{number}"
        with suppress(OSError):
            home.mkdir(mode=0o700, exist_ok=True)
            if home.lstat().st_uid == number and not home.is_symlink():  # others may write to that folder
                os.environ["HOME"] = str(home)
