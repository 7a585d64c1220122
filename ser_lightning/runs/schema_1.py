"""Translate records of schema 1 into the words of schema 2."""

from collections.abc import Mapping
from typing import Any


def from_schema_1(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of schema 1 in the words of schema 2."""
    known = {key: value for key, value in record.items() if value is not None}
    renamed: dict[str, Any] = {**known, "schema": 2}
    if "slices" in known:
        renamed["subgroups"] = known["slices"]
    if isinstance(human := known.get("human"), Mapping):
        renamed["annotators"] = {("single" if key == "listener" else key): value for key, value in human.items()}
    if isinstance(epochs := known.get("epochs"), Mapping) and "chosen" in epochs:
        renamed["epochs"] = {**epochs, "best": epochs["chosen"]}
    seen = known.get("seen")  # by `ser eval`, before it compared all parts
    if isinstance(seen, Mapping) and "leakage" not in known and seen.get("subset") in ("train", "val"):
        nameless = [f"speaker {number + 1}" for number in range(seen["n_speakers"])]
        renamed["leakage"] = {f"{seen['subset']}/test": {"speakers": nameless, "n_sounds": seen["n_clips"]}}
    if isinstance(calibration := known.get("calibration"), Mapping):
        renamed["calibration"] = None
        if {"nll", "brier", "aurc", "confidence"} <= calibration.keys():  # the first versions measured less
            bins = [{**of_bin, "low": of_bin["from"], "high": of_bin["to"]} for of_bin in calibration["bins"]]
            renamed["calibration"] = {**calibration, "bins": bins}
    return renamed
