"""Whether a checkpoint was trained on the clips, or the speakers, that it is to be tested on."""

from ser_lightning.data.leakage import CALIBRATION_TEST, OF_TEST, TRAIN_TEST, VAL_TEST, Leakage
from ser_lightning.runs.result_parts import Shared
from ser_lightning.utils.errors import UserError, some

_USED = {TRAIN_TEST: "was trained on", VAL_TEST: "was selected on", CALIBRATION_TEST: "was calibrated on"}
_ALLOWED = "--allow-leakage evaluates it all the same, and marks the result"


def check_leakage(leakage: Leakage | None, *, allow: bool, is_student: bool = False) -> bool:
    """Return whether a test shares neither speakers nor sounds with training, validation and calibration.

    ``leakage`` is None where the checkpoint does not record what it, or the teacher of a student, was trained on.
    Raises: UserError for leakage, unless ``allow``.
    """
    if leakage is None:
        if not allow:
            whom = "its teacher" if is_student else "it"
            raise UserError(
                f"this checkpoint is of an older version and does not say whom {whom} was trained on: {_ALLOWED}"
            )
        return False
    for pair in OF_TEST:
        shared = leakage.get(pair)
        if shared:
            if not allow:
                raise UserError(
                    _refusal(pair, shared, "this checkpoint, or its teacher," if is_student else "this checkpoint")
                )
            return False
    return True


def _refusal(pair: str, shared: Shared, who: str) -> str:
    what = f"{shared.n_sounds} of the test's clips"
    if shared.speakers:
        what = f"{len(shared.speakers)} of the test's speakers ({some(shared.speakers)})"
    return (
        f"{who} {_USED[pair]} {what}: the result would say nothing about new speakers. Test another "
        f"fold or corpus; {_ALLOWED}"
    )
