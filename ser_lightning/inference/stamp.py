"""Check the form of the stamp, which a checkpoint holds beside its weights, before anything is made of it."""

import math
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ser_lightning.data.labels import check_labels
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.text import is_file_name

NOT_OURS = "is no checkpoint of ours, or a changed one"


def _check_name(text: str) -> str:
    if not is_file_name(text):
        raise ValueError("it is a part of paths, and no name of a file")
    return text


_Name = Annotated[str, AfterValidator(_check_name)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class _Model(_Part):
    name: Annotated[_Name, Field(max_length=100)]
    frontend: dict[str, Any]
    net: dict[str, Any]
    speaker_clips: Annotated[int, Field(ge=1)] | None = 1


class _Config(_Part):
    model: _Model
    data: dict[str, Any]
    trainer: dict[str, Any] = {}
    seed: int


class _Protocol(_Part):
    corpus: _Name
    split: str
    fold: int | str
    split_hash: str
    speaker_independent: bool
    n_train: int
    n_val: int


class _TrainedOn(_Part):
    speakers: list[str]
    clips: list[str]


class _Record(_Part):
    heard: dict[str, _TrainedOn]
    lists: dict[str, str] = {}
    same_speakers: bool | None = None


class _Calibrated(_Part):
    record: _Record | None = None


class _Corpus(_Part):
    name: str
    title: str
    licence: str
    source: str


class _Teacher(_Part):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    path: str
    sha256: str
    name: str
    corpora: list[_Corpus] = []


class _AnyStamp(_Part):
    config: _Config
    sample_rate_hz: Annotated[int, Field(ge=1_000, le=192_000)]
    protocol: _Protocol
    heard: dict[str, _TrainedOn] | None = None
    held_out: _TrainedOn | None = None
    other_records: list[_Record] = []
    calibrated: _Calibrated | None = None
    corpora: list[_Corpus] = []
    teacher: _Teacher | None = None
    contamination: str | None = None
    temperature: Annotated[float, Field(gt=0, lt=math.inf)] = 1.0


class _OfLabels(_AnyStamp):
    task: Literal["classification"] = "classification"
    labels: Annotated[list[str], AfterValidator(check_labels)]


class _OfNumbers(_AnyStamp):
    task: Literal["regression"]
    targets: Annotated[list[str], AfterValidator(partial(check_labels, fewest=1))]
    ranges: list[Annotated[list[float], Field(min_length=2, max_length=2)] | None] = []


_STAMPS: dict[Any, type[_AnyStamp]] = {"classification": _OfLabels, "regression": _OfNumbers}


def check_stamp(stamp: Any, *, source: str) -> None:
    """Raise UserError that names what is missing or is of another kind."""
    task = stamp.get("task", "classification") if isinstance(stamp, dict) else None
    kind = _STAMPS.get(task, _OfLabels) if isinstance(task, str) else _OfLabels
    try:
        kind.model_validate(stamp)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the stamp"
        raise UserError(f"{source} {NOT_OURS}: {where}: {first['msg']}") from None
