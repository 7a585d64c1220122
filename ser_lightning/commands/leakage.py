"""Refuse to test a checkpoint on the clips, or the speakers, that it was trained on."""

from ser_lightning.data.leakage import CALIBRATION_TEST, OF_TEST, TRAIN_TEST, VAL_TEST, Leakage
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
        if not shared:
            continue
        if allow:
            return False
        who = "this checkpoint, or its teacher," if is_student else "this checkpoint"
        leaked = f"{shared.n_sounds} of the test's clips"
        if shared.speakers:
            leaked = f"{len(shared.speakers)} of the test's speakers ({some(shared.speakers)})"
        raise UserError(
            f"{who} {_USED[pair]} {leaked}: the result would say nothing about new speakers. Test another "
            f"fold or corpus; {_ALLOWED}"
        )
    return True
