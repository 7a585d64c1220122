"""Votes in a user's list, where they do not go with its labels, its files, or the corpus that is tested."""

import pytest
from conftest import config
from layouts import tone

from ser_lightning.training.experiment import make_data
from ser_lightning.utils.errors import UserError


def make_list(folder, names, *, columns=(), ending="wav"):
    """Six speakers who say each emotion once; three of four votes are for it, in the column of its place."""
    lines = [",".join(["path", "emotion", "speaker", *(f"votes.{name}" for name in columns)])]
    for speaker in range(6):
        for number, name in enumerate(names):
            tone(folder / f"{speaker}_{number}.wav", number + speaker / 10 + len(folder.name) / 100)
            votes = [3 if place == number else int(place == number - 1) for place in range(len(columns))]
            lines.append(",".join(map(str, [f"{speaker}_{number}.{ending}", name, f"s{speaker}", *votes])))
    path = folder / f"{folder.name}.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("labels", ["intended", "votes_majority", "votes_soft"])
def test_a_label_that_only_the_test_corpus_has_is_named_whatever_labels_are_made_of(tmp_path, labels):
    names, other = ("anger", "fear", "happiness"), ("anger", "fear", "sadness")
    trained = make_list(tmp_path / "one", names, columns=names)
    tested = make_list(tmp_path / "other", other, columns=other)
    corpora = ("data=csv", f"data.manifest={trained}", f"data.test_corpus={tested}", "data.same_speakers=no")
    with pytest.raises(UserError, match="other has clips of sadness, which no training clip is: map it"):
        make_data(config(*corpora, "data/label_map=six", f"data.labels={labels}"))
    dropped = make_data(
        config(*corpora, "data/label_map=six", "data.label_map.sadness=drop", f"data.labels={labels}")
    )
    assert len(dropped.split.test) == 12


def test_votes_for_emotions_of_other_names_are_named(tmp_path, caplog):
    names = ("anger", "fear", "joy")
    some = make_list(tmp_path / "some", names, columns=("angry", "fear", "joy"))
    make_data(config("data=csv", f"data.manifest={some}"))
    assert "no votes for anger, and votes.angry, which no label is called" in caplog.text
    none = make_list(tmp_path / "none", names, columns=("angry", "afraid", "glad"))
    with pytest.raises(UserError, match=r"votes\.angry, votes\.afraid, votes\.glad are none of the labels anger, "):
        make_data(config("data=csv", f"data.manifest={none}"))


def test_further_columns_of_votes_are_none_of_anybodys_business(tmp_path, caplog):
    listed = make_list(tmp_path / "list", ("anger", "fear"), columns=("anger", "fear", "other"))
    make_data(config("data=csv", f"data.manifest={listed}"))
    assert "no votes for" not in caplog.text


def test_votes_of_a_file_that_is_left_out_are_not_those_of_another(tmp_path):
    names = ("anger", "fear", "joy")
    listed = make_list(tmp_path / "list", names, columns=names)
    tone(tmp_path / "list" / "0_0.flac", 9)
    listed.write_text(listed.read_text() + "0_0.flac,anger,s0,0,0,9\n")
    data = make_data(
        config("data=csv", f"data.manifest={listed}", "data.labels=votes_majority", "data.on_bad=exclude")
    )
    (row,) = [row for row, clip in enumerate(data.manifest) if clip.id.endswith("0_0")]
    assert data.clips.labels[int(data.clips.target[row].argmax())] == "anger"


@pytest.mark.parametrize("cell", ["NULL", "?", "-", "#N/A", r"\N"])
def test_what_stands_for_nothing_is_no_emotion(tmp_path, cell):
    listed = make_list(tmp_path / "list", ("anger", "fear"))
    listed.write_text(listed.read_text().replace("0_0.wav,anger", f"0_0.wav,{cell}"))
    with pytest.raises(UserError, match="line 2: emotion is empty, or says nan"):
        make_data(config("data=csv", f"data.manifest={listed}"))
