"""Whether a checkpoint has heard the clips, or the speakers, that it is to be judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ser_lightning.data.manifest import Manifest
from ser_lightning.errors import UserError, some

_DID = {"train": "was trained on", "val": "had its epoch chosen on"}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What of the tested clips was heard before, in training or for the choice of the epoch.

    ``subset`` is "train" or "val", or "unknown" for a checkpoint that does not say what it was made from.
    """

    subset: str
    n_speakers: int
    n_clips: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def seen(stamp: Mapping[str, Any], manifest: Manifest, rows: Sequence[int], *, allow: bool) -> Seen | None:
    """None where nobody and nothing was heard before.

    Raises: UserError where something was, unless ``allow``.
    """
    heard = stamp.get("heard")
    if heard is None:
        if not allow:
            raise UserError(
                "this checkpoint is older than `ser eval` and does not say whom it was trained on: "
                "--allow-seen judges it all the same, and marks the result"
            )
        return Seen(subset="unknown", n_speakers=0, n_clips=0)
    clips = [manifest[row] for row in rows]
    for subset, what in heard.items():
        speakers = sorted({clip.who for clip in clips} & set(what["speakers"]))
        sounds = {clip.audio_hash for clip in clips} & set(what["clips"])
        if speakers or sounds:
            if not allow:
                raise UserError(_refusal(subset, speakers, len(sounds)))
            return Seen(subset=subset, n_speakers=len(speakers), n_clips=len(sounds))
    return None


def _refusal(subset: str, speakers: Sequence[str], n_sounds: int) -> str:
    what = f"{len(speakers)} of the test's speakers ({some(speakers)})" if speakers else f"{n_sounds} of its clips"
    return (
        f"this checkpoint {_DID[subset]} {what}: the result would say nothing about new voices. Test another fold "
        "or corpus; --allow-seen judges it all the same, and marks the result"
    )
