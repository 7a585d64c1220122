"""What result.json holds, as types: every reader goes through them, and a record of another kind names its field.

K: labels.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ser_lightning.runs.directory import SCHEMA
from ser_lightning.utils.files import read_text

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(ge=0)]
Interval = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    """Fields beyond these are kept and not looked at: a later version may have more."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class Scores(_Part):
    """One evaluation."""

    uar: Share
    accuracy: Share
    macro_f1: Share | None = None
    loss: float | None = None
    recall: dict[str, Share | None] = {}


class Metrics(_Part):
    """On validation, where there is one, and on the test."""

    val: Scores | None = None
    test: Scores


class Protocol(_Part):
    """What was tested on what, and how the tested epoch was chosen."""

    corpus: str
    split: str
    fold: int | str
    split_hash: str
    speaker_independent: bool
    label_source: str
    selection: str
    label_map: dict[str, str] | None = None
    test_corpus: str | None = None
    trained_on: str | None = None
    speaker_clips: int | str | None = None


class Model(_Part):
    """Which model, and how large."""

    name: str
    parameters: Count | None = None
    pretrained: dict[str, Any] | None = None


class Epochs(_Part):
    """How many were trained, and which was tested, counted from 1."""

    trained: Count
    chosen: Count


class Throughput(_Part):
    """What training took."""

    train_clips_per_s: Positive | None = None
    train_s: Positive | None = None


class Agreement(_Part):
    """How often annotators' votes are the label."""

    uar: Share
    accuracy: Share | None = None


class Annotators(_Part):
    """How well people do on the clips of the test: one at a time, and the majority of them."""

    listener: Agreement | None = None
    majority: Agreement | None = None
    n_clips: Count | None = None
    source: str | None = None


class Subgroup(_Part):
    """Scores on a part of the test."""

    n_clips: Count
    n_speakers: Count
    uar: Share | None
    uar_interval: Interval | None
    accuracy: Share | None
    accuracy_interval: Interval | None
    recall: dict[str, Share | None]


class Result(_Part):
    """The record of a finished run, schema 1."""

    labels: list[str]
    seed: int
    config: str
    confusion_matrix: list[list[Count]]
    model: Model
    protocol: Protocol
    metrics: Metrics
    epochs: Epochs
    throughput: Throughput | None = None
    history: dict[str, list[float | None]] | None = None
    human: Annotators | None = None
    slices: dict[str, dict[str, Subgroup]] | None = None
    calibration: dict[str, Any] | None = None
    robustness: list[dict[str, Any]] | None = None
    warnings: dict[str, Count] | None = None
    seconds: Positive | None = None
    synthetic: bool | None = None
    contamination: str | None = None
    overrides: list[str] | None = None
    environment: dict[str, Any] | None = None


class Failure(_Part):
    """The record of a run that failed, schema 1."""

    status: Literal["failed"]
    reason: str | None = None


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a run, finished or failed.

    Raises: OSError; ValueError that says what keeps the file from being a whole record of this schema.
    """
    try:
        record = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    check_record(record, path.name)
    return record


def check_record(record: Any, name: str = "result.json") -> None:
    """Raises: ValueError that names the first field that is missing, or of another kind."""
    if not isinstance(record, dict) or "schema" not in record or "status" not in record:
        raise ValueError(f"{name} is none of ours: it lacks schema or status")
    if record["schema"] != SCHEMA:
        raise ValueError(f"{name} has schema {record['schema']}, and {SCHEMA} is the one that is read here")
    try:
        (Result if record["status"] == "finished" else Failure).model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{name} is incomplete: {where} is missing, or of another kind") from None
    lengths = {len(column) for column in (record.get("history") or {}).values()}
    if len(lengths) > 1:
        raise ValueError(f"{name} is incomplete: the columns of history are not of one length")
