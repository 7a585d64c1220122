"""The records that result.json is made of, beside the scores."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator

from ser_lightning.runs.label_sources import current_name
from ser_lightning.utils.records import Count, Positive, Record, Share

ALL = "all"  # in place of a split's name and of a fold


class Protocol(Record):
    """What was tested on what, and how the tested epoch was selected. Further facts are kept, and compared, too."""

    model_config = ConfigDict(extra="allow")

    corpus: str
    split: str
    fold: int | str
    split_hash: str
    speaker_independent: bool
    label_source: str
    selection: Annotated[str, Field(description="how the tested epoch was selected")]
    n_train: Count | None = None
    n_val: Count | None = None
    n_test: Count | None = None
    label_map: dict[str, str] | None = None
    test_corpus: str | None = None
    trained_on: str | None = None
    speaker_clips: Annotated[int | str | None, Field(description="of a speaker, for statistics")] = None

    @field_validator("label_source")
    @classmethod
    def _current_name(cls, name: str) -> str:
        return current_name(name)

    def facts(self) -> dict[str, Any]:
        """Return what is known, by name."""
        return {name: value for name, value in self.plain().items() if value is not None}


class Shared(Record):
    """What two parts of a split have in common: speakers, by their names in the part named last, and sounds."""

    speakers: list[str]
    n_sounds: Count

    def __bool__(self) -> bool:
        return bool(self.speakers or self.n_sounds)


class Pretrained(Record):
    """The pretrained encoder under a model."""

    name: str
    mode: str
    parameters: Count
    family: str | None = None
    digest: str | None = None


class Model(Record):
    """Which model, and how many trained parameters it has."""

    name: str
    parameters: Count | None = None
    pretrained: Pretrained | None = None


class Epochs(Record):
    """How many epochs were trained, and whose weights were tested, counted from 1."""

    trained: Count
    best: Count


class Throughput(Record):
    """The speed and the time of the training."""

    train_clips_per_s: Positive | None = None
    train_s: Annotated[Positive | None, Field(description="wall time of training steps, without validation")] = None


class Agreement(Record):
    """How often annotators' votes are the label."""

    uar: Share
    accuracy: Share | None = None


class Annotators(Record):
    """How well people do on the clips of the test: ``single`` annotators, and the ``majority`` of them."""

    single: Agreement | None = None
    majority: Agreement | None = None
    n_clips: Count | None = None
    source: str | None = None


class CorpusFacts(Record):
    """A corpus that clips are of, its licence, and where it is had."""

    name: str
    title: str
    licence: str
    source: str


class Environment(Record):
    """What a run ran on."""

    model_config = ConfigDict(extra="allow")

    ser_lightning: str | None = None
    commit: str | None = None
    python: str | None = None
    platform: str | None = None
    packages: dict[str, str | None] = {}
    device: str | None = None
    threads: Count | None = None
    threads_wait: str | None = None
    cores: Count | None = None
    cores_used_by_others: Positive | None = None
    precision: str | None = None


class Training(Record):
    """What a checkpoint was trained on: settings of the data, the fold, and the hash of the split."""

    data: dict[str, Any]
    fold: int | str
    split_hash: str


class TestedCheckpoint(Record):
    """The checkpoint that was tested apart from its training, as by `ser eval`."""

    path: str
    sha256: str
    temperature: Positive
    training: Training | None = None  # older results do not say it


class Teacher(Record):
    """The checkpoint of the model whose answers were learnt beside the labels, and what that is called.

    ``corpora`` are those that it was trained on, and its own teachers.
    """

    path: str
    sha256: str
    name: str
    corpora: list[CorpusFacts] = []
