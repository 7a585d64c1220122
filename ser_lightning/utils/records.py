"""Typed plain values: what is written as JSON and read back, with a line that names the field that is wrong."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]
_LARGEST = 10**15  # beyond which no number here is meant
Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Positive = Annotated[float, Field(ge=0, le=_LARGEST)]
Number = Annotated[int | float, Field(ge=-_LARGEST, le=_LARGEST)]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]  # low and high


class Record(BaseModel):
    """A part of a JSON file: values are of the stated kinds, and fields that are not stated are ignored."""

    model_config = ConfigDict(
        extra="ignore",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        populate_by_name=True,
        protected_namespaces=(),
    )

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return self.model_dump(by_alias=True)


def fault_of(error: ValidationError) -> str:
    """Return the first field that is wrong, and how, in a line."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"{field} is missing"
    value = repr(first["input"])
    return (
        f"{field} is {value if len(value) <= 40 else value[:40] + '…'}: {first['msg'][0].lower()}{first['msg'][1:]}"
    )
