"""Whether a checkpoint was trained on the clips, or the speakers, that it is to be tested on."""

from dataclasses import asdict, dataclass
from typing import Any

from ser_lightning.data.leakage import TRAIN_TEST, VAL_TEST, Leakage, Shared
from ser_lightning.utils.errors import UserError, some

_USED = {"train": "was trained on", "val": "was selected on"}
_ALLOWED = "--allow-leakage evaluates it all the same, and marks the result"


@dataclass(frozen=True, kw_only=True)
class AllowedLeakage:
    """What the test shares with the training or validation clips of the checkpoint.

    ``subset`` is "train" or "val", or "unknown" for a checkpoint that does not record what it was trained on.
    """

    subset: str
    n_speakers: int
    n_clips: int

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def check_leakage(leakage: Leakage | None, *, allow: bool) -> AllowedLeakage | None:
    """Return what a test shares with training, or None where it shares nothing.

    ``leakage`` is None where the checkpoint does not record what it was trained on.
    Raises: UserError for leakage, unless ``allow``.
    """
    if leakage is None:
        if not allow:
            raise UserError(
                "this checkpoint is older than `ser eval` and does not say whom it was trained on: " + _ALLOWED
            )
        return AllowedLeakage(subset="unknown", n_speakers=0, n_clips=0)
    for subset, pair in (("train", TRAIN_TEST), ("val", VAL_TEST)):
        shared = leakage.get(pair)
        if shared:
            if not allow:
                raise UserError(_refusal(subset, shared))
            return AllowedLeakage(subset=subset, n_speakers=len(shared.speakers), n_clips=shared.n_sounds)
    return None


def _refusal(subset: str, shared: Shared) -> str:
    what = f"{shared.n_sounds} of the test's clips"
    if shared.speakers:
        what = f"{len(shared.speakers)} of the test's speakers ({some(shared.speakers)})"
    return (
        f"this checkpoint {_USED[subset]} {what}: the result would say nothing about new speakers. Test another "
        f"fold or corpus; {_ALLOWED}"
    )
