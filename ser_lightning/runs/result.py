"""result.json as typed records: runs write it through them, and every reader gets them.

``python -m ser_lightning.runs.result`` prints their JSON Schema, which is docs/result.schema.json. K: labels.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ser_lightning.evaluation.records import (
    Calibration,
    Condition,
    ConditionScores,
    DistributionScores,
    Part,
    PartScores,
    RegressionConditionScores,
    RegressionPartScores,
    RegressionScores,
    Scores,
)
from ser_lightning.runs.result_parts import (
    Annotators,
    CorpusFacts,
    Environment,
    Epochs,
    Model,
    Protocol,
    Shared,
    Teacher,
    TestedCheckpoint,
    Throughput,
)
from ser_lightning.runs.schema_1 import from_schema_1
from ser_lightning.utils.errors import UserError, first_line
from ser_lightning.utils.files import read_text, write_json
from ser_lightning.utils.records import Count, Interval, Number, Positive, Record, fault_of

if TYPE_CHECKING:
    from ser_lightning.tasks.number_predictions import NumberPredictions
    from ser_lightning.tasks.predictions import Predictions
    from ser_lightning.tasks.task import Task

SCHEMA = 2


class Metrics(Record):
    """Scores on the validation clips, where there are any, and on the test."""

    val: Scores | None = None
    test: Scores


class RegressionMetrics(Record):
    """The same of predicted numbers."""

    val: RegressionScores | None = None
    test: RegressionScores


class Result(Record):
    """The record of a finished run, whatever its task; there is one of a kind for each."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    status: Literal["finished"] = "finished"
    task: str
    metrics: Metrics | RegressionMetrics
    subgroups: Mapping[str, Mapping[str, Part]]
    robustness: Sequence[Condition]
    annotators: Annotators | None = None
    protocol: Protocol
    leakage: dict[str, Shared] | None = None  # by pair of parts; None: it is not known what was trained on
    contamination: Annotated[str | None, Field(description="what pretraining may have had of the test")] = None
    corpora: list[CorpusFacts] = []
    synthetic: bool = False
    warnings: dict[str, Count] = {}
    model: Model
    teacher: Teacher | None = None
    epochs: Epochs
    history: dict[str, list[Number | None]] = {}  # by column of metrics.csv, a value an epoch
    throughput: Throughput | None = None
    environment: Environment | None = None
    checkpoint: TestedCheckpoint | None = None
    seed: int
    config: str
    overrides: list[str] | None = None
    seconds: Annotated[Positive | None, Field(description="of the process that finished it")] = None

    @property
    def predicts(self) -> "Task":
        """Return the task that it is a result of."""
        from ser_lightning.tasks.registry import task_of  # help is to answer without what it imports

        return task_of(dict(self))

    @property
    def n_tested(self) -> int:
        """Return how many clips were tested."""
        raise NotImplementedError

    def check_predictions(self, predictions: Any) -> None:
        """Raise ValueError where predictions.csv is not what the scores are of."""
        raise NotImplementedError


class ClassificationResult(Result):
    """The record of a finished run that predicts labels."""

    task: Literal["classification"] = "classification"
    labels: list[str]
    metrics: Metrics
    confusion_matrix: list[list[Count]]  # (K, K), rows the true label
    subgroups: dict[str, dict[str, PartScores]] = {}  # by column and value
    calibration: Calibration | None = None
    distribution: DistributionScores | None = None  # beside the scores by the majority, where labels are by votes
    robustness: list[ConditionScores] = []

    @property
    def n_tested(self) -> int:
        """Return how many clips were tested."""
        return sum(map(sum, self.confusion_matrix))

    def check_predictions(self, predictions: "Predictions") -> None:
        """Raise ValueError where predictions.csv is not what the confusion matrix is of."""
        from ser_lightning.evaluation.metrics import confusion

        if list(predictions.names) != self.labels:
            raise ValueError(
                f"predictions.csv has the labels {', '.join(predictions.names)}, result.json has others"
            )
        matrix = confusion(predictions.labels, predictions.predicted, len(predictions.names))
        if matrix.tolist() != self.confusion_matrix:
            raise ValueError("predictions.csv does not give the confusion matrix of result.json")


class RegressionResult(Result):
    """The record of a finished run that predicts numbers."""

    task: Literal["regression"]
    targets: list[str]
    ranges: list[Interval | None] = []  # of each target, the lowest and the highest that there may be
    n_clips: Count
    metrics: RegressionMetrics
    subgroups: dict[str, dict[str, RegressionPartScores]] = {}  # by column and value
    robustness: list[RegressionConditionScores] = []

    @property
    def n_tested(self) -> int:
        """Return how many clips were tested."""
        return self.n_clips

    def check_predictions(self, predictions: "NumberPredictions") -> None:
        """Raise ValueError where predictions.csv is not what the scores are of."""
        import numpy as np

        from ser_lightning.evaluation.regression import by_speaker, regression_scores

        if list(predictions.names) != self.targets:
            raise ValueError(
                f"predictions.csv has the targets {', '.join(predictions.names)}, result.json has others"
            )
        nobody = np.zeros(len(predictions.ids), dtype=np.int64)
        sums = by_speaker(nobody, predictions.truth, predictions.predicted, 1)[0]
        again, recorded = regression_scores(sums, self.targets), self.metrics.test
        computed, expected = (
            [getattr(scores, name) or 0.0 for name in ("ccc", "mae", "rmse")] for scores in (again, recorded)
        )
        if not np.allclose(computed, expected, rtol=1e-6, atol=1e-9):
            raise ValueError("predictions.csv does not give the scores of result.json")


class Failure(Record):
    """The record of a run that failed."""

    schema_: Literal[2] = Field(default=2, alias="schema")
    status: Literal["failed"] = "failed"
    reason: str | None = None
    seed: int | float | str | bool | None = None  # as it was given: it may be why the run failed
    config: str | None = None
    overrides: list[str] | None = None
    seconds: Positive | None = None


Finished = Annotated[ClassificationResult | RegressionResult, Field(discriminator="task")]
Outcome = Annotated[Finished | Failure, Field(discriminator="status")]
_OF_TASK: dict[str, type[Result]] = {"classification": ClassificationResult, "regression": RegressionResult}


def make_result(*, task: str, **fields: Any) -> Result:
    """Return the record of a finished run of that task."""
    return _OF_TASK[task](task=task, **fields)


def write_record(path: Path, record: Result | Failure) -> None:
    """Write a record atomically: all of it, or nothing."""
    write_json(path, record.plain())


def read_record(path: Path) -> Result | Failure:
    """Read the record of a run, finished or failed.

    Raises: OSError; ValueError that names the first field that is missing or wrong; UserError for a record that a
        later version wrote.
    """
    try:
        record = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    return parse_record(record, path.name)


def parse_record(record: Any, name: str = "result.json") -> Result | Failure:
    """Return a record that is plain values, of this schema or an older one. Raises: as `read_record`."""
    if not isinstance(record, dict) or "schema" not in record or "status" not in record:
        raise ValueError(f"{name} is none of ours: it lacks schema or status")
    schema = record["schema"]
    is_number = isinstance(schema, int | float) and not isinstance(schema, bool)
    if is_number and schema > SCHEMA:
        raise UserError(f"{name} has schema {schema}, and this version reads up to {SCHEMA}: update ser_lightning")
    if not is_number or schema not in (1, SCHEMA):
        raise ValueError(f"{name} has schema {schema!r}, which no version writes")
    task = record.get("task", "classification")
    if record["status"] == "finished" and (not isinstance(task, str) or task not in _OF_TASK):
        raise ValueError(f"{name} is of the task {task!r}, which is not known: there are {', '.join(_OF_TASK)}")
    kind = _OF_TASK[task] if record["status"] == "finished" else Failure
    try:
        parsed = kind.model_validate(from_schema_1(record) if schema == 1 else record)
    except ValidationError as error:
        raise ValueError(f"{name}: {fault_of(error)}") from None
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{name} is no record of schema 1: {first_line(error)}") from None
    if isinstance(parsed, Result):
        if any(epoch is None or epoch < 0 for epoch in parsed.history.get("epoch", ())):
            raise ValueError(f"{name}: history.epoch has what is no epoch")
        if len({len(column) for column in parsed.history.values()}) > 1:
            raise ValueError(f"{name}: the columns of history are not of one length")
    return parsed


def json_schema() -> str:
    """Return the JSON Schema of result.json."""
    schema = TypeAdapter(Outcome).json_schema(by_alias=True, mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


if __name__ == "__main__":
    print(json_schema(), end="")
