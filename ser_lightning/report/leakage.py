"""Say in words what the parts of a split share, out of the record ``leakage`` of a result."""

from ser_lightning.data.manifest import speakers_not_known
from ser_lightning.runs.result import Result
from ser_lightning.utils.errors import counted, some

SHARED = "SPEAKERS SHARED between training and test: says nothing about new speakers"
_TRAINED_ON = {"train/test": "TRAINED ON", "val/test": "SELECTED ON", "calibration/test": "CALIBRATED ON"}
_SHARED_BY = {
    "train/test": "training and test",
    "val/test": "validation and test",
    "calibration/test": "calibration and test",
}


def is_unknown(result: Result) -> bool:
    """Return whether the tested checkpoint does not say whom it was trained on."""
    return result.checkpoint is not None and result.leakage is None and not result.protocol.speaker_independent


def about_test(result: Result) -> tuple[str, bool]:
    """Return a line about the test's speakers, and whether all is well with them.

    Results that are older than the record say what they claim.
    """
    if is_unknown(result):
        return "WHOM IT WAS TRAINED ON IS NOT KNOWN: the score may not hold for new speakers", False
    if result.leakage is None:
        if result.protocol.speaker_independent:
            return "no test speaker is in training", True
        return SHARED, False
    for pair, parts in _SHARED_BY.items():
        shared = result.leakage.get(pair)
        if not shared:
            continue
        n_speakers, n_sounds = len(shared.speakers), shared.n_sounds
        if result.checkpoint is not None:
            part = f"{n_speakers} OF THESE SPEAKERS" if n_speakers else f"{n_sounds} OF THESE CLIPS"
            return f"{_TRAINED_ON[pair]} {part}: says nothing about new speakers", False
        if n_speakers:
            return f"SPEAKERS SHARED between {parts} ({n_speakers}): says nothing about new speakers", False
        return f"SOUNDS SHARED between {parts} ({n_sounds}): one speaker has two names", False
    unknown = n_unknown(result)
    if not result.protocol.speaker_independent:
        return speakers_not_known(unknown), False
    known = f", as far as they are known: {counted(unknown, 'clip')} of unknown speakers" if unknown else ""
    return f"no test speaker is in training{known}", True


def n_unknown(result: Result) -> int:
    """Return how many clips of test or training are of unknown speakers."""
    return sum(result.warnings.get(kind, 0) for kind in ("unknown_speaker", "unknown_trained"))


def about_validation(result: Result) -> str | None:
    """Return a line about the validation set where it shares speakers or sounds with training."""
    shared = (result.leakage or {}).get("train/val")
    if not shared:
        return None
    count, names = counted(shared.n_sounds, "sound"), ""
    if shared.speakers:
        count, names = counted(shared.speakers, "speaker"), f" ({some(shared.speakers)})"
    return f"validation shares {count} with training{names}: its scores say little about new speakers"
