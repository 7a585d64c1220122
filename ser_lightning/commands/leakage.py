"""Whether a checkpoint was trained on the clips, or the speakers, that it is to be tested on."""

from ser_lightning.data.leakage import TRAIN_TEST, VAL_TEST, Leakage
from ser_lightning.runs.result import Shared
from ser_lightning.utils.errors import UserError, some

_DID = {TRAIN_TEST: "was trained on", VAL_TEST: "had its epoch chosen on"}


def check_unseen(leakage: Leakage | None, *, allow: bool) -> bool:
    """Return whether neither training nor the choice of the epoch had any speaker or sound of the test.

    ``leakage`` is None for a checkpoint that does not say what it was trained on.
    Raises: UserError where that is not so, unless ``allow``.
    """
    if leakage is None:
        if not allow:
            raise UserError(
                "this checkpoint is older than `ser eval` and does not say whom it was trained on: "
                "--allow-seen tests it all the same, and marks the result"
            )
        return False
    for pair in (TRAIN_TEST, VAL_TEST):
        shared = leakage.get(pair)
        if shared:
            if not allow:
                raise UserError(_refusal(pair, shared))
            return False
    return True


def _refusal(pair: str, shared: Shared) -> str:
    speakers = shared.speakers
    what = f"{shared.n_sounds} of its clips"
    if speakers:
        what = f"{len(speakers)} of the test's speakers ({some(speakers)})"
    return (
        f"this checkpoint {_DID[pair]} {what}: the result would say nothing about new speakers. Test another fold "
        "or corpus; --allow-seen tests it all the same, and marks the result"
    )
