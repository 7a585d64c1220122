"""What a person reads of what the parts of a split share, out of the record ``leakage`` of result.json."""

from collections.abc import Mapping
from typing import Any

from ser_lightning.utils.errors import some


def about_test(result: Mapping[str, Any]) -> tuple[str, bool]:
    """Return a line about the test's speakers, and whether all is well with them.

    Results that are older than the record say what they claim.
    """
    if result.get("seen"):
        return _tested_on_known(result["seen"]), False
    leakage = result.get("leakage")
    if leakage is None:
        if result["protocol"]["speaker_independent"]:
            return "no test speaker was heard in training", True
        return "SPEAKERS SHARED between training and test: says nothing about new speakers", False
    for pair, parts in (("train/test", "training and test"), ("val/test", "validation and test")):
        shared = leakage.get(pair)
        if shared and shared["speakers"]:
            n_speakers = len(shared["speakers"])
            return f"SPEAKERS SHARED between {parts} ({n_speakers}): says nothing about new speakers", False
        if shared and shared["n_sounds"]:
            return f"SOUNDS SHARED between {parts} ({shared['n_sounds']}): one speaker has two names", False
    return "no test speaker is in training", True


def about_validation(result: Mapping[str, Any]) -> str | None:
    """Return a line about the validation set where it shares speakers or sounds with training."""
    shared = (result.get("leakage") or {}).get("train/val")
    if not shared or not (shared["speakers"] or shared["n_sounds"]):
        return None
    n_speakers, n_sounds = len(shared["speakers"]), shared["n_sounds"]
    what = f"{n_sounds} sound{'s' if n_sounds != 1 else ''}"
    if n_speakers:
        what = f"{n_speakers} speaker{'s' if n_speakers != 1 else ''}"
    names = f" ({some(shared['speakers'])})" if n_speakers else ""
    return f"validation shares {what} with training{names}: its scores say little about new speakers"


def _tested_on_known(seen: Mapping[str, Any]) -> str:
    if seen["subset"] == "unknown":
        return "WHOM IT WAS TRAINED ON IS NOT KNOWN: may say nothing about new speakers"
    how = "TRAINED ON" if seen["subset"] == "train" else "EPOCH CHOSEN ON"
    if not seen["n_speakers"]:
        return f"{how} {seen['n_clips']} OF THESE CLIPS: says nothing about new speakers"
    return f"{how} {seen['n_speakers']} OF THESE SPEAKERS: says nothing about new ones"
