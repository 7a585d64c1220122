"""Read Git LFS pointers, which a host may serve where the file itself was meant.

The pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
Asking for what it points to: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_lightning.data.download.errors import Unavailable

MEDIA_TYPE = "application/vnd.git-lfs+json"
_MAX_BYTES = 1024  # of a pointer, by its specification
_POINTER = re.compile(rb"version https?://\S+\s+(?:ext-\S+ \S+\s+)*oid sha256:([0-9a-f]{64})\s+size (\d+)\s*")
_GITHUB = re.compile(
    r"https://(?:media\.githubusercontent\.com/media|raw\.githubusercontent\.com|github\.com)/([^/]+/[^/]+)/"
)
_GITLAB = re.compile(r"(https?://[^/]+/.+?)/-/raw/")  # on any host


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """A pointer: what stands in a repository instead of a large file."""

    sha256: str
    size_bytes: int


def read_pointer(path: Path) -> Pointer | None:
    """Return the pointer that the file at ``path`` is, or None where it is something else."""
    with path.open("rb") as file:
        match = _POINTER.fullmatch(file.read(_MAX_BYTES + 1))
    return Pointer(sha256=match[1].decode(), size_bytes=int(match[2])) if match else None


def batch_address(url: str) -> str | None:
    """Return where the repository of ``url`` answers for its large files; None for an address of no known form."""
    if github := _GITHUB.match(url):
        return f"https://github.com/{github[1]}.git/info/lfs/objects/batch"
    if gitlab := _GITLAB.match(url):
        return f"{gitlab[1]}.git/info/lfs/objects/batch"
    return None


def batch_request(pointer: Pointer) -> dict[str, Any]:
    """Return the question to ask there, as the batch API has it."""
    wanted = {"oid": pointer.sha256, "size": pointer.size_bytes}
    return {"operation": "download", "transfers": ["basic"], "objects": [wanted]}


def download_address(answer: bytes) -> tuple[str, dict[str, str]]:
    """Return the address of the large file, and the headers to send there, out of the answer.

    Raises: Unavailable where the answer has none, with the server's reason.
    """
    try:
        wanted = json.loads(answer)["objects"][0]
        if "error" in wanted:
            raise Unavailable(f"refuses a Git LFS file ({wanted['error'].get('message')})")
        action = wanted["actions"]["download"]
        return str(action["href"]), {str(key): str(value) for key, value in action.get("header", {}).items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unavailable("gives no understandable answer about a Git LFS file") from error
