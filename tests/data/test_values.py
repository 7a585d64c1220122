"""Numbers that raters gave: out of CREMA-D's tables, a user's columns, and what the synthesis drew."""

from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from layouts import tone

from ser_lightning import cli
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.labels import by_values
from ser_lightning.data.synthesis import EMOTIONS, clip_name, make_speaker, synthesise, take_of
from ser_lightning.data.user_csv import read_csv_corpus
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.seeding import stable_rng

SUMMARY = '"","FileName","VoiceVote","VoiceLevel"\n'
COUNTS = '"",A,D,F,H,N,S,fileName,emoVote,' + ",".join(
    f"mean{name}Resp" for name in ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
)


def read_levels(table):
    values = load_corpus("cremad").read_values(None, table)
    return {clip: of_clip["voice_level"] for clip, of_clip in values.items()}


def test_cremads_tables_give_the_level_of_the_winning_emotion_and_none_of_a_tie(tmp_path):
    summary = tmp_path / "summaryTable.csv"
    summary.write_text(SUMMARY + '"1","1001_DFA_FEA_XX","A:F","37.2:58.6"\n"2","1040_ITH_SAD_X","S","61.5"\n')
    assert read_levels(summary) == {"1040_ITH_SAD_XX": 61.5}
    counts = tmp_path / "tabulatedVotes.csv"
    rows = [
        '"100001",0,0,0,4,7,0,1001_IEO_HAP_MD,N,-1,-1,-1,56.5,67.5,-1',
        '"100002",3,0,3,0,0,0,1001_DFA_FEA_XX,A:F,37.2,-1,58.6,-1,-1,-1',
        '"200001",9,0,0,0,0,0,1001_IEO_HAP_MD,A,99,-1,-1,-1,-1,-1',  # of the face
    ]
    counts.write_text("\n".join([COUNTS, *rows]) + "\n")
    assert read_levels(counts) == {"1001_IEO_HAP_MD": 67.5}


def test_a_table_without_levels_is_refused(tmp_path):
    votes = tmp_path / "summaryTable.csv"
    votes.write_text('"","FileName","VoiceVote"\n"1","1001_DFA_FEA_XX","F"\n')
    with pytest.raises(UserError, match="neither of CREMA-D's tables"):
        read_levels(votes)
    assert load_corpus("cremad").read_values(tmp_path / "nowhere", None) is None


def test_the_toys_numbers_are_those_its_sounds_were_made_with():
    toy = load_corpus("toy")
    values = toy.read_values(None, None)
    assert len(values) == toy.n_clips
    assert all(set(of_clip) == set(toy.value_ranges) for of_clip in values.values())
    for name, (lowest, highest) in toy.value_ranges.items():
        assert all(lowest <= of_clip[name] <= highest for of_clip in values.values())


def test_louder_takes_of_the_toy_are_those_of_a_higher_number():
    speaker, levels, measured = make_speaker(1, 0), [], []
    for sentence, emotion in product(range(1, 6), EMOTIONS):
        name = clip_name(speaker.id, sentence, emotion, 1)
        waveform = synthesise(speaker, sentence, emotion, stable_rng(0, name))
        levels.append(take_of(name).level_db)
        measured.append(10 * np.log10(np.mean(waveform**2)))
    assert np.corrcoef(levels, measured)[0, 1] > 0.5  # the distance to the microphone varies by 4 dB


def _listed(tmp_path, *rows, header="path,speaker,Arousal,valence"):
    path = tmp_path / "my.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    for row in rows:
        (tmp_path / row.split(header[4])[0]).touch()
    return path


def values_of(path, *targets, ranges=None):
    corpus = read_csv_corpus(path, emotions=False, targets=targets, ranges=ranges)
    return [facts.values for facts in corpus.listing.files.values()]


def test_columns_of_a_list_are_read_as_numbers(tmp_path):
    path = _listed(tmp_path, "a.wav,p,1.5,-2", "b.wav,p,,3", "c.wav,q,n/a,1e-1", "d.wav,q,2,")
    assert values_of(path, "arousal", "valence") == [
        {"arousal": 1.5, "valence": -2.0},
        {"valence": 3.0},
        {"valence": 0.1},
        {"arousal": 2.0},
    ]
    assert values_of(path, "valence")[1] == {"valence": 3.0}


def test_a_comma_may_stand_for_the_point(tmp_path):
    path = _listed(tmp_path, "a.wav;p;1,5;2", "b.wav;p;-0,5;3", header="path;speaker;arousal;valence")
    assert values_of(path, "arousal") == [{"arousal": 1.5}, {"arousal": -0.5}]
    path.write_text(path.read_text().replace("1,5", "1,234").replace("-0,5", "0,125"))
    assert values_of(path, "arousal") == [{"arousal": 1.234}, {"arousal": 0.125}]  # no thousand begins with 0


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (
            ("a.wav,p,2,1", "b.wav,p,high,1", "c.wav,p,low,1", "d.wav,p,,1", "e.wav,p,mid,1"),
            "line 3: arousal is 'high', which is no number, and so on in 2 more lines: write numbers, or leave the "
            "cell empty",
        ),
        (
            ("a.wav,p,inf,1", "b.wav,p,2,1"),
            "line 2: arousal is 'inf', which is no number: write numbers, or leave the cell empty",
        ),
        (
            ('a.wav,p,"1,234",1', "b.wav,p,6.07,1"),
            "line 2: arousal is '1,234', and a decimal point is in other lines: write all decimals with a point, "
            "and thousands without a comma",
        ),
        (
            ("a.wav,p,1_5,1", "b.wav,p,2,1", "c.wav,p,3,1"),
            "line 2: arousal is '1_5', which is no number: write numbers, or leave the cell empty",
        ),
        (
            ("a.wav,p,7,1", "b.wav,p,8.5,1", "c.wav,p,0,1"),
            "line 3: arousal is '8.5', which lies outside 1 to 7, and so on in 1 more line: correct it, or "
            "data.ranges.arousal",
        ),
        (
            ("a.wav,p,,1", "b.wav,p,,1"),
            "arousal has no number in any line: fill it, or leave arousal out of data.targets",
        ),
        (
            ("a.wav,p,,1", "b.wav,p,3,1", "c.wav,p,3.0,1"),
            "line 3: arousal is 3, as in every line, so nothing is learnt: leave arousal out of data.targets",
        ),
    ],
)
def test_a_bad_column_is_one_clear_line(tmp_path, rows, fault):
    with pytest.raises(UserError) as caught:
        values_of(_listed(tmp_path, *rows), "arousal", ranges={"arousal": (1, 7)})
    assert str(caught.value).splitlines()[1:] == [f"  {fault}"]


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"lacks the column dominance.*it names path, speaker, arousal, valence"):
        values_of(_listed(tmp_path, "a.wav,p,3,1"), "dominance")


def test_clips_that_lack_a_number_are_left_out():
    labelling = by_values([{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"a": 5.0, "b": 4.0, "c": 0.0}], ("b", "a"))
    assert labelling.keep.tolist() == [True, False, True]
    assert labelling.testable.tolist() == [True, False, True]
    np.testing.assert_array_equal(labelling.reference[[0, 2]], [[2, 1], [4, 5]])


def test_an_audit_shows_how_numbers_are_spread(tmp_path):
    lines = ["path,speaker,arousal"]
    for number in range(20):
        tone(tmp_path / f"{number}.wav", number / 5)
        lines.append(f"{number}.wav,p{number // 4},{'' if number == 7 else 1 + number % 5}")
    (tmp_path / "my.csv").write_text("\n".join(lines) + "\n")
    command = ["data", "audit", "csv", f"data.manifest={tmp_path / 'my.csv'}", "data.targets=[arousal]"]
    done = CliRunner().invoke(cli.main, command)
    row = next(line for line in done.stdout.splitlines() if line.startswith("arousal"))
    assert row.split()[:6] == ["arousal", "19", "1", "3", "1.451", "5"]
    assert "1 clip left out: without a value of every target" in done.stdout
    assert done.exit_code == 0, done.output
