"""Whether a checkpoint was trained on the clips, or the speakers, that it is to be tested on."""

from dataclasses import asdict, dataclass
from typing import Any

from ser_lightning.data.leakage import TRAIN_TEST, VAL_TEST, Leakage, Shared
from ser_lightning.utils.errors import UserError, some

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


def seen(leakage: Leakage | None, *, allow: bool) -> Seen | None:
    """None where nobody and nothing was heard before; ``leakage`` None: the checkpoint does not say.

    Raises: UserError where something was, unless ``allow``.
    """
    if leakage is None:
        if not allow:
            raise UserError(
                "this checkpoint is older than `ser eval` and does not say whom it was trained on: "
                "--allow-seen judges it all the same, and marks the result"
            )
        return Seen(subset="unknown", n_speakers=0, n_clips=0)
    for subset, pair in (("train", TRAIN_TEST), ("val", VAL_TEST)):
        shared = leakage.get(pair)
        if shared:
            if not allow:
                raise UserError(_refusal(subset, shared))
            return Seen(subset=subset, n_speakers=len(shared.speakers), n_clips=shared.n_sounds)
    return None


def _refusal(subset: str, shared: Shared) -> str:
    speakers = shared.speakers
    what = f"{shared.n_sounds} of its clips"
    if speakers:
        what = f"{len(speakers)} of the test's speakers ({some(speakers)})"
    return (
        f"this checkpoint {_DID[subset]} {what}: the result would say nothing about new voices. Test another fold "
        "or corpus; --allow-seen judges it all the same, and marks the result"
    )
