"""result.json: written and read through its types, its JSON Schema current, older and broken records."""

import json
from pathlib import Path

import pytest
from finished_run import finished_result, make_run

from ser_lightning.report.console import print_summary
from ser_lightning.report.leakage import about_test
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.result import Failure, Result, json_schema, parse_record, read_record, write_record
from ser_lightning.utils.errors import UserError

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "result.schema.json"


def test_what_is_written_is_read(tmp_path):
    for record in (parse_record(finished_result()), Failure(reason="loss is nan", seed=3)):
        write_record(tmp_path / "result.json", record)
        assert read_record(tmp_path / "result.json") == record


def test_the_schema_in_docs_is_current():
    assert SCHEMA_FILE.read_text() == json_schema(), "python -m ser_lightning.runs.result > docs/result.schema.json"


def test_the_schema_names_every_field_that_is_written():
    written = parse_record(finished_result()).plain()
    assert set(written) == set(json.loads(json_schema())["$defs"]["ClassificationResult"]["properties"])


def of_schema_1():
    scores = {"n_clips": 3, "n_speakers": 1, "uar": 0.5, "uar_interval": None, "accuracy": 0.5}
    bins = [{"from": 0.2, "to": 0.4, "n": 3, "confidence": 0.3, "accuracy": 0.5}]
    points = [{"coverage": 1.0, "accuracy": 0.5, "uar": 0.5}]
    return {
        **finished_result(),
        "schema": 1,
        "epochs": {"trained": 3, "chosen": 2},
        "slices": {"sex": {"female": {**scores, "accuracy_interval": None, "recall": {"anger": None}}}},
        "human": {"listener": {"uar": 0.4, "accuracy": 0.4}, "n_clips": 3, "source": "votes"},
        "calibration": {
            **{"ece": 0.1, "nll": 1.0, "brier": 0.5, "aurc": 0.2, "confidence": 0.3},
            **{"bins": bins, "selective": points},
        },
        "checkpoint": {"path": "best.ckpt", "sha256": "0", "temperature": 1.0},
        "seen": {"subset": "val", "n_speakers": 2, "n_clips": 9},
        "history": None,
    }


def test_a_record_of_schema_1_is_read_in_the_words_of_schema_2():
    result = parse_record(of_schema_1())
    assert isinstance(result, Result)
    assert result.epochs.best == 2
    assert result.subgroups["sex"]["female"].n_clips == 3
    assert result.annotators.single.uar == 0.4 and result.annotators.majority is None
    assert (result.calibration.bins[0].low, result.calibration.bins[0].high) == (0.2, 0.4)
    assert about_test(result) == (
        "SELECTED ON 2 OF THESE SPEAKERS: says nothing about new speakers",
        False,
    )
    assert result.plain()["schema"] == 2


def test_a_checkpoint_that_did_not_say_whom_it_was_trained_on_is_still_one():
    record = {**of_schema_1(), "seen": {"subset": "unknown", "n_speakers": 0, "n_clips": 0}}
    record["protocol"] = {**record["protocol"], "speaker_independent": False}
    text, is_well = about_test(parse_record(record))
    assert "NOT KNOWN" in text and not is_well


def test_a_calibration_of_the_first_versions_is_left_out():
    assert parse_record({**of_schema_1(), "calibration": {"ece": 0.1, "bins": []}}).calibration is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"metrics": {"test": {"uar": 1.5, "accuracy": 0.5}}},
            "result.json: metrics.test.uar is 1.5: input should be",
        ),
        ({"protocol": {"corpus": "c"}}, "result.json: protocol.split is missing"),
        (
            {"epochs": {"trained": "3", "best": 1}},
            "result.json: epochs.trained is '3': input should be a valid",
        ),
        ({"history": {"epoch": [1, 2], "lr": [0.1]}}, "result.json: the columns of history are not of one length"),
        ({"history": {"epoch": [-1]}}, "result.json: history.epoch has what is no epoch"),
        ({"history": {"epoch": [10**400]}}, "result.json: history.epoch.0"),
        ({"model": {"name": "cnn", "parameters": 10**400}}, "result.json: model.parameters is 1000"),
        ({"schema": True}, "result.json has schema True, which no version writes"),
        ({"schema": "x"}, "result.json has schema 'x', which no version writes"),
        ({"schema": 1, "seen": {"subset": "train"}, "checkpoint": None}, "no record of schema 1"),
    ],
)
def test_a_record_that_is_wrong_names_its_field(changes, said):
    with pytest.raises(ValueError, match=r"result\.json") as error:
        parse_record({**finished_result(), **changes})
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("schema", [3, 3.0])
def test_a_record_of_a_later_version_is_not_taken_for_none(tmp_path, schema):
    make_run(tmp_path, schema=schema)
    before = (tmp_path / "result.json").read_bytes()
    for read in (RunDirectory(tmp_path).read_result, lambda: print_summary(tmp_path)):
        with pytest.raises(
            UserError, match=r"has schema 3(\.0)?, and this version reads up to 2: update ser_lightning"
        ):
            read()
    assert (tmp_path / "result.json").read_bytes() == before
