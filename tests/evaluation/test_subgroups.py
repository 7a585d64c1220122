"""Scores of parts of the test clips, against scores of those clips alone."""

import io

import numpy as np
import pytest
from drawn_words import apart
from label_parts import subgroups
from matplotlib.figure import Figure
from matplotlib.image import imread
from rich.console import Console

from ser_lightning.evaluation.metrics import confusion, scores
from ser_lightning.evaluation.subgroups import MOST_VALUES, lacks_labels
from ser_lightning.report import forest_plot
from ser_lightning.report.subgroup_figures import draw_subgroups
from ser_lightning.report.subgroup_tables import subgroups_table

NAMES = ("anger", "neutral", "sadness")
WORDS = {"title": "cnn on toy", "subtitle": "test UAR 50.0%\nsplit a, fold 0"}


def answers(n=240, n_speakers=8, seed=0):
    """Labels, answers that are right two times in three, and speakers."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, n)
    predicted = np.where(random.random(n) < 0.5, labels, random.integers(0, 3, n))
    return {"labels": labels, "predicted": predicted, "speakers": [f"s{i % n_speakers}" for i in range(n)]}


def sliced(columns, **options):
    return subgroups(**answers(**options), columns=columns, names=NAMES)


def test_a_part_is_scored_as_if_it_were_alone():
    given = answers()
    sex = ["female" if who in ("s0", "s1", "s2", "s3") else "male" for who in given["speakers"]]
    found = subgroups(**given, columns={"sex": sex}, names=NAMES)["sex"]
    assert list(found) == ["female", "male"]
    for value, n_speakers in (("female", 4), ("male", 4)):
        own = np.flatnonzero(np.array(sex) == value)
        expected = scores(confusion(given["labels"][own], given["predicted"][own], 3), NAMES)
        part = found[value]
        assert (part.n_clips, part.n_speakers) == (len(own), n_speakers)
        assert part.uar == pytest.approx(expected.uar)
        assert part.accuracy == pytest.approx(expected.accuracy)
        assert part.recall == pytest.approx(expected.recall)
        low, high = part.uar_interval
        assert low < part.uar < high
        assert part.accuracy_interval[0] < part.accuracy < part.accuracy_interval[1]


def test_an_interval_is_over_the_speakers_of_the_part():
    """Where all its speakers are alike, other speakers would change nothing, whatever those of other parts do."""
    labels = np.tile([0, 0, 1, 1], 8)
    predicted = np.tile([0, 1, 1, 1], 8)
    predicted[:16] = np.random.default_rng(0).integers(0, 2, 16)
    speakers = [f"s{i // 4}" for i in range(32)]
    old = ["20-29"] * 16 + ["30-39"] * 16
    found = subgroups(labels=labels, predicted=predicted, speakers=speakers, columns={"age": old}, names=NAMES)[
        "age"
    ]
    assert found["30-39"].uar_interval == [0.75, 0.75]
    assert found["20-29"].uar_interval[0] < found["20-29"].uar_interval[1]


def test_a_single_speaker_has_scores_and_no_interval():
    given = answers(n_speakers=5)
    age = ["70-79" if who == "s0" else "20-29" for who in given["speakers"]]
    found = subgroups(**given, columns={"age": age}, names=NAMES)["age"]
    assert found["70-79"].n_speakers == 1
    assert 0 < found["70-79"].uar < 1
    assert found["70-79"].uar_interval is None and found["70-79"].accuracy_interval is None
    assert found["20-29"].uar_interval is not None


def test_a_label_that_a_part_lacks_is_none_and_no_part_of_its_uar():
    given = answers()
    intensity = ["unspecified" if label == 1 else "high" for label in given["labels"]]
    found = subgroups(**given, columns={"intensity": intensity}, names=NAMES)["intensity"]
    assert found["high"].recall["neutral"] is None
    assert found["high"].uar == pytest.approx((found["high"].recall["anger"] + found["high"].recall["sadness"]) / 2)
    assert found["unspecified"].recall["anger"] is None
    assert found["unspecified"].uar == found["unspecified"].accuracy


def test_a_part_lacks_what_others_have_and_not_what_nobody_has():
    given = answers()
    given["labels"] = np.minimum(given["labels"], 1)  # nobody is sad
    intensity = ["low" if label else "high" for label in given["labels"]]
    columns = {"sex": ["female", "male"] * 120, "intensity": intensity}
    found = subgroups(**given, columns=columns, names=NAMES)
    assert all(part.recall["sadness"] is None for parts in found.values() for part in parts.values())
    assert not lacks_labels(found["sex"]["female"], found)
    assert lacks_labels(found["intensity"]["high"], found)


def test_columns_that_part_nothing_are_left_out_as_are_clips_of_which_nothing_is_known():
    n = 240
    columns = {
        "corpus": ["cremad"] * n,
        "sex": ["female"] * n,
        "age": [""] * n,
        "intensity": (["low"] * 3 + [""]) * (n // 4),
        "sentence": [str(i % (MOST_VALUES + 1)) for i in range(n)],
        "take": [str(i % MOST_VALUES) for i in range(n)],
        "room": (["hall", "studio", ""] * n)[:n],
    }
    found = sliced(columns)
    assert list(found) == ["take", "room"]
    assert len(found["take"]) == MOST_VALUES
    assert {value: part.n_clips for value, part in found["room"].items()} == {"hall": 80, "studio": 80}


def test_values_are_in_an_order_that_makes_sense():
    def order(*values):
        return list(sliced({"x": [values[i % len(values)] for i in range(240)]})["x"])

    assert order("unspecified", "high", "low", "medium") == ["low", "medium", "high", "unspecified"]
    assert order("strong", "normal") == ["normal", "strong"]
    assert order("100-109", "20-29", "0-9") == ["0-9", "20-29", "100-109"]
    assert order("TIE", "DFA") == ["DFA", "TIE"]


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    kept: list[Figure] = []
    monkeypatch.setattr(forest_plot, "save", lambda figure, path: kept.append(figure))
    return kept


def of_everything():
    given = answers(n=480, n_speakers=8)
    n = len(given["labels"])
    columns = {
        "sex": [("female", "male")[int(who[1]) % 2] for who in given["speakers"]],
        "age": ["70-79" if who == "s0" else "20-29" for who in given["speakers"]],
        "intensity": ["unspecified" if label == 1 else "high" for label in given["labels"]],
        "sentence": [f"the dog is sitting by the door, said in a way numbered {i % 12}" for i in range(n)],
    }
    return subgroups(**given, columns=columns, names=NAMES)


def test_the_picture_shows_every_part_and_touches_itself_nowhere(drawn):
    draw_subgroups("unused", of_everything(), headline=0.63, **WORDS)
    (figure,) = drawn
    (axes,) = figure.axes
    words = [text.get_text() for text in axes.texts]
    assert {"sex", "female", "male", "age", "20-29", "intensity", "sentence", "all clips 63.0%"} <= set(words)
    assert {f"the dog is sitting by…in a way numbered {i}" for i in range(12)} <= set(words)
    assert any(word.endswith("hollow: labels are missing there, and the UAR is over the others") for word in words)
    assert apart(axes.texts)
    hollow = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    assert len(hollow) == 2  # high and unspecified
    bars = [line for line in axes.lines if line.get_alpha() is not None]
    n_dots = sum(line.get_marker() == "o" for line in axes.lines)
    assert (n_dots, len(bars)) == (18, 5)  # the others are of fewer than four speakers


def test_names_are_shown_letter_by_letter(drawn):
    found = sliced({"sentence": ["a $x^2$ b", "[red]c[/red]"] * 120})
    draw_subgroups("unused", found, headline=0.63, **WORDS)
    (axes,) = drawn[0].axes
    written = [text for text in axes.texts if "$" in text.get_text()]
    assert len(written) == 1 and not written[0].get_parse_math()
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(subgroups_table(found))
    assert "[red]c[/red]" in console.export_text()


def test_the_file_is_a_picture(tmp_path):
    draw_subgroups(tmp_path / "subgroups.png", sliced({"sex": ["female", "male"] * 120}), headline=0.63, **WORDS)
    pixels = imread(tmp_path / "subgroups.png")
    assert min(pixels.shape[:2]) > 400
    assert (pixels[..., :3] < 0.5).any(axis=2).mean() > 0.002


def test_the_table_has_a_line_a_part_and_warns_of_missing_labels(capsys):
    Console(width=100).print(subgroups_table(of_everything()))
    text = capsys.readouterr().out
    assert "high*" in text and "unspecified*" in text and "female*" not in text
    assert "* Some labels have no clip there: not to be compared with the others." in " ".join(text.split())
    female = next(line for line in text.splitlines() if line.startswith("  female"))
    assert female.split()[5:7] == ["240", "4"]
    complete = subgroups_table(sliced({"sex": ["female", "male"] * 120}))
    Console(width=100).print(complete)
    assert "*" not in capsys.readouterr().out
