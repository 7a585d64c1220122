"""Corpora in the layouts they are published in: what is found there, how it is split, what the audit says."""

from itertools import product

import pytest
from conftest import config
from layouts import make_iemocap, tone

from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.data.corpora import load_corpus
from ser_lightning.training.experiment import make_data
from ser_lightning.utils.errors import UserError


def audited(data):
    return audit(data.clips, data.rules, chosen=data._split_name)


@pytest.mark.parametrize("parts", [True, False])
def test_esd_with_and_without_the_folders_of_its_parts(tmp_path, parts):
    root = tmp_path / "Emotion Speech Dataset"
    folders = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
    places = {"evaluation": 0, "test": 20, "train": 50}  # the first sentence of each part
    for speaker, (number, folder), (part, place) in product((11, 12, 13), enumerate(folders), places.items()):
        name = f"{speaker:04d}_{350 * number + place + 1:06d}.wav"
        below = f"{part}/{name}" if parts else name
        tone(root / f"{speaker:04d}" / folder / below, number + place / 100 + speaker / 1000)
    (root / "0011" / "0011.txt").write_bytes("0011_000001\ttext\tNeutral".encode("utf-16"))
    data = make_data(config("data=esd", f"data.root={tmp_path}", "data.split=official"))
    assert len(data.manifest) == 45
    for subset, part in (("train", "train"), ("val", "evaluation"), ("test", "test")):
        clips = [data.manifest[row] for row in getattr(data.split, subset)]
        assert {clip.fold for clip in clips} == {part}
        assert len(clips) == 15
    assert data.protocol()["speaker_independent"] is False
    assert "outside_split" not in data.warnings()
    apart = make_data(config("data=esd", f"data.root={tmp_path}"))
    assert apart.protocol()["speaker_independent"] is True
    report = audited(data)
    assert (report.clips.found, report.clips.expected, report.speakers.expected) == (45, 35_000, 20)
    assert [finding.text for finding in report.findings if finding.kind == "missing"] == [
        "34,955 clips missing: results are on a part of the corpus"
    ]
    assert any(finding.kind == "shared_speakers" for finding in report.findings)


def test_savee_in_both_layouts_is_one_corpus(tmp_path):
    for speaker, code in product(("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su")):
        number = ord(code[-1]) / 10 + sum(map(ord, speaker)) / 1000 + len(code)
        tone(tmp_path / "folders" / "AudioData" / speaker / f"{code}01.wav", number)
        tone(tmp_path / "flat" / "ALL" / f"{speaker}_{code}01.wav", number)
    tone(tmp_path / "flat" / "ALL" / "DC_x01.wav", 3)
    settings = ["data=savee", "data.fold=2", "data.on_bad=exclude"]
    data = [make_data(config(*settings, f"data.root={tmp_path / place}")) for place in ("folders", "flat")]
    assert data[0].protocol()["split_hash"] == data[1].protocol()["split_hash"]
    assert {data[0].manifest[row].speaker for row in data[0].split.test} == {"JK"}
    assert audited(data[0]).passed
    report = audited(data[1])
    assert not report.passed
    assert [finding.text for finding in report.of("error")] == [
        "1 file cannot be used: it has the unknown emotion code x (known: a, d, f, h, n, sa, su)"
    ]


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory):
    """Five sessions of 28 turns, 4 of each code. Shared: do not write there."""
    return make_iemocap(tmp_path_factory.mktemp("iemocap"))


def test_iemocap_has_the_speakers_and_dimensions_of_its_turns(iemocap):
    data = make_data(config("data=iemocap", f"data.root={iemocap}", "data/label_map=none"))
    clips = {clip.id: clip for clip in data.manifest}
    assert len(clips) == 5 * 2 * 2 * 6  # without those that nobody agrees on
    turn = clips["Ses01M_script01_1_F002"]  # he wears the markers, she speaks
    assert (turn.speaker, turn.sex, turn.emotion) == ("Ses01F", "female", "excitement")
    assert turn.values == {"valence": 2.5, "arousal": 1.5, "dominance": 3.0}
    assert set(data.manifest.column("speaker")) == {f"Ses0{n}{sex}" for n in range(1, 6) for sex in "FM"}
    assert data.warnings()["left_out_by_label"] == 20


@pytest.mark.parametrize("where", ["", "IEMOCAP_full_release"])
def test_iemocap_trains_on_four_classes_and_leaves_a_session_out(iemocap, where):
    data = make_data(config("data=iemocap", f"data.root={iemocap / where}", "data.fold=4"))
    assert data.labels == ("anger", "happiness", "neutral", "sadness")
    assert data.clips_by_label("test") == {"anger": 4, "happiness": 8, "neutral": 4, "sadness": 4}
    speakers = [{data.manifest[row].speaker for row in rows} for rows in (data.split.test, data.split.val)]
    assert speakers == [{"Ses05F", "Ses05M"}, {"Ses01F", "Ses01M"}]
    assert data.protocol()["label_map"]["excitement"] == "happiness"


def test_within_a_session_one_speaker_may_validate_and_the_other_test(iemocap):
    for fold, test, val in ((0, "Ses01F", "Ses01M"), (1, "Ses01M", "Ses01F"), (9, "Ses05M", "Ses05F")):
        settings = ["data=iemocap", f"data.root={iemocap}", "data.split=session_halves", f"data.fold={fold}"]
        split = make_data(config(*settings)).split
        data = make_data(config(*settings))
        assert {data.manifest[row].speaker for row in split.test} == {test}
        assert {data.manifest[row].speaker for row in split.val} == {val}
        assert len({data.manifest[row].speaker for row in split.train}) == 8


def test_the_audit_knows_how_many_turns_iemocap_has(iemocap):
    report = audited(make_data(config("data=iemocap", f"data.root={iemocap}")))
    assert (report.clips.found, report.clips.expected) == (100, 5_531)
    expected = {label: each.clips.expected for label, each in report.labels.items()}
    assert expected == {"anger": 1_103, "happiness": 1_636, "neutral": 1_708, "sadness": 1_084}
    assert report.speakers.found == report.speakers.expected == 10
    missing = [finding.text for finding in report.findings if finding.kind == "missing"]
    assert missing == ["7,412 clips missing: results are on a part of the corpus"]
    assert report.passed
    corpus = load_corpus("iemocap")
    assert corpus.n_clips == 7_532


def test_iemocaps_evaluators_vote_and_the_actor_does_not(iemocap):
    corpus = load_corpus("iemocap")
    votes = corpus.read_votes(iemocap, None)
    assert votes == corpus.read_votes(iemocap / "IEMOCAP_full_release", None)
    counts = {
        name: dict(zip(corpus.labels, votes.by_clip[f"Ses03F_impro01_M{number:03d}"], strict=True))
        for number, name in enumerate(("ang", "hap", "exc", "neu", "sad", "fru", "xxx"))
    }
    assert {name: n for name, n in counts["exc"].items() if n} == {"excitement": 2, "happiness": 2}
    assert {name: n for name, n in counts["xxx"].items() if n} == {"anger": 1, "neutral": 1, "other": 1}
    assert counts["ang"]["anger"] == 2 and counts["ang"]["disgust"] == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("\tang\t", "\tqqq\t", 1), "turn Ses01F_impro01_F000 of qqq.*ang, hap"),
        (lambda text: text.replace("Ses01F_impro01_F000", "Ses01F_impro01_X0", 1), "turn Ses01F_impro01_X0"),
        (
            lambda text: text.replace("[0.2901 -", "[0.2901", 1),
            r"impro01\.txt cannot be read: line 3 is no turn",
        ),
    ],
)
def test_what_is_wrong_with_a_label_table_is_said(tmp_path, spoil, said):
    root = make_iemocap(tmp_path, turns=[("ang", ("Anger;",))])
    table = root / "IEMOCAP_full_release" / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    table.write_text(spoil(table.read_text()))
    with pytest.raises(UserError, match=said):
        make_data(config("data=iemocap", f"data.root={root}"))
    table.unlink()
    with pytest.raises(UserError, match="holds no label tables"):
        make_data(config("data=iemocap", f"data.root={tmp_path / 'IEMOCAP_full_release' / 'Session1'}"))


def test_a_turn_without_its_file_is_named(tmp_path):
    root = make_iemocap(tmp_path)
    folder = root / "IEMOCAP_full_release" / "Session2" / "sentences" / "wav" / "Ses02F_impro01"
    (folder / "Ses02F_impro01_F000.wav").unlink()
    with pytest.raises(UserError, match=r"Ses02F_impro01_F000\.wav: cannot be found"):
        make_data(config("data=iemocap", f"data.root={root}"))
