import csv
from dataclasses import replace

import numpy as np
import pytest
from finished_run import GUESS, LABELS, TRUE, make_predictions

from ser_lightning.runs.predictions import read_predictions, write_predictions


def test_file_has_names_and_six_digits(tmp_path):
    write_predictions(tmp_path / "predictions.csv", make_predictions())
    with (tmp_path / "predictions.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    assert header == ["id", "speaker", "label", "predicted", "p_anger", "p_fear", "p_neutral"]
    assert first == ["clip0", "s0", "anger", "anger", "0.800000", "0.100000", "0.100000"]


def test_what_is_written_is_read_back(tmp_path):
    written = make_predictions()
    write_predictions(tmp_path / "predictions.csv", written)
    read = read_predictions(tmp_path / "predictions.csv")
    assert list(read.ids) == list(written.ids)
    assert list(read.speakers) == list(written.speakers)
    assert tuple(read.names) == LABELS
    assert read.labels.tolist() == TRUE
    assert read.predicted.tolist() == GUESS
    np.testing.assert_allclose(read.probabilities, written.probabilities, atol=5e-7)


def test_names_with_commas_quotes_and_letters_of_any_alphabet_survive(tmp_path):
    odd = replace(make_predictions(), names=('a, "b"', "père", "p_p"), ids=[f"é,{n}\n" for n in range(10)])
    write_predictions(tmp_path / "predictions.csv", odd)
    read = read_predictions(tmp_path / "predictions.csv")
    assert tuple(read.names) == tuple(odd.names)
    assert list(read.ids) == list(odd.ids)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_and_file_agree_where_six_digits_cannot_tell_two_classes_apart(tmp_path, dtype):
    near = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.33333] * 3, [0.33333] * 3], dtype)
    near += np.array([[0.0, 4e-7, 0], [3e-7, 6e-7, 0], [6e-7, 3e-7, 4e-7], [4.9e-7, 5.1e-7, 0]], dtype)
    close = replace(
        make_predictions(),
        ids=list("abcd"),
        speakers=list("abcd"),
        labels=np.zeros(4, int),
        probabilities=near,
    )
    write_predictions(tmp_path / "predictions.csv", close)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        column = [LABELS.index(row["predicted"]) for row in csv.DictReader(file)]
    assert column == close.predicted.tolist() == read_predictions(tmp_path / "predictions.csv").predicted.tolist()


def test_a_write_that_fails_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch):
    path = tmp_path / "predictions.csv"
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_predictions(path, make_predictions())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probabilities": np.ones((10, 2))}, "ids and names"),
        ({"speakers": ["s"]}, "1 speakers"),
        ({"labels": np.full(10, 3)}, "outside 0 to 2"),
        ({"labels": np.full(10, -1)}, "outside 0 to 2"),
        ({"probabilities": np.full((10, 3), np.nan)}, "10 clips .* not finite, first 'clip0'"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(make_predictions(), **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has columns"),
        ("id,speaker,label,predicted\n", "has columns"),
        ("id,label,predicted,p_a\nx,a,a,1\n", "has columns"),
        ("id,speaker,label,predicted,p_a\nx,s,b,a,1\n", "line 2 .*'b'"),
        ("id,speaker,label,predicted,p_a\nx,s,a,a,1\nx,s,a,a,one\n", "line 3 .*'one'"),
        ("id,speaker,label,predicted,p_a,p_b\nx,s,a,a,1\n", "line 2"),
        (
            "id,speaker,label,predicted,p_a,p_b\nx,s,a,a,1,0\nx,s,a,a,8,-7\n",
            "line 3 has no probabilities .*: 8, -7",
        ),
        ("id,speaker,label,predicted,p_a,p_b\nx,s,a,a,0.9,0.3\n", "line 2 has no probabilities that add up to 1"),
    ],
)
def test_a_file_that_is_something_else_is_named(tmp_path, text, message):
    (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_predictions(tmp_path / "predictions.csv")
