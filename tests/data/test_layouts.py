"""Corpora in the layouts they are published in: what is found there, how it is split, what the audit says."""

from dataclasses import replace
from itertools import product

import pytest
from conftest import config
from layouts import make_iemocap, make_msp_podcast, tone

from ser_lightning.data.audit import folds
from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.data.audit.findings import release_findings
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.leakage import TrainingRecord, keeps_test_apart
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.training.experiment import make_data
from ser_lightning.utils.errors import UserError


def audited(data):
    chosen = data._split_name  # the first of them, as `ser data audit` has it
    return audit(data.clips, {chosen: data.rules[chosen], **data.rules}, chosen=chosen)


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
    assert data.task.outputs == ("anger", "happiness", "neutral", "sadness")
    assert data.clips_by_output("test") == {"anger": 4, "happiness": 8, "neutral": 4, "sadness": 4}
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


def test_iemocaps_votes_decide_on_joint_labels(iemocap):
    settings = ["data=iemocap", f"data.root={iemocap}", "data.labels=votes_majority"]
    data = make_data(config(*settings))
    assert data.clips_by_output("test") == {"anger": 4, "happiness": 8, "neutral": 4, "sadness": 4}
    shares = make_data(config(*settings[:2], "data.labels=votes_soft"))
    excited = shares.manifest.column("id").index("Ses01F_impro01_F002")  # excited 2, happy 2: joint, all four
    assert shares.clips.target[excited].tolist() == [0, 1, 0, 0]
    angry = shares.manifest.column("id").index("Ses01F_impro01_F000")  # one of three votes is of no label
    assert shares.clips.target[angry].tolist() == [1, 0, 0, 0]
    annotators = shares.clips.annotator_scores([angry])
    assert annotators.single.accuracy == pytest.approx(2 / 3)
    assert "Ses01F_impro01_F006" in shares.manifest.column("id")  # anger and neutral are tied: it can train
    assert "Ses01F_impro01_F005" not in shares.manifest.column("id")  # frustrated, by two of three


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("\tang\t", "\tqqq\t", 1), "turn Ses01F_impro01_F000 of qqq.*ang, hap"),
        (lambda text: text.replace("Ses01F_impro01_F000", "Ses01F_impro01_X0", 1), "turn Ses01F_impro01_X0"),
        (
            lambda text: text.replace("[0.2901 -", "[0.2901", 1),
            r"impro01\.txt cannot be read: line 3 is no turn",
        ),
        (lambda text: text.replace("[0.", "(0."), r"impro01\.txt names no turn: replace it"),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_label_table_is_the_same_saved_by_an_editor(tmp_path, encoding):
    root = make_iemocap(tmp_path)
    votes = load_corpus("iemocap").read_votes(root, None)
    for table in (root / "IEMOCAP_full_release").glob("Session1/dialog/EmoEvaluation/Ses*.txt"):
        _, _, *lines = table.read_text().splitlines()  # the first line is a turn's
        bom = "\ufeff" if encoding == "utf-16-be" else ""  # the others write it themselves
        table.write_bytes((bom + "\r\n".join(" \t" + line for line in lines)).encode(encoding))
    assert load_corpus("iemocap").read_votes(root, None) == votes


def test_a_turn_that_two_label_tables_name_is_not_guessed(tmp_path):
    root = make_iemocap(tmp_path, turns=[("ang", ("Anger;",))])
    tables = root / "IEMOCAP_full_release" / "Session1" / "dialog" / "EmoEvaluation"
    table, old = tables / "Ses01F_impro01.txt", tables / "Ses01F_impro01_old.txt"
    old.write_text(table.read_text())
    assert load_corpus("iemocap").read_votes(root, None).by_clip
    for changed in (("\tang\t", "\tsad\t"), ("Anger;", "Sadness;")):
        old.write_text(table.read_text().replace(*changed))
        with pytest.raises(
            UserError, match=f"Ses01F_impro01_F000 stands in {table}, and otherwise in {old}: remove"
        ):
            make_data(config("data=iemocap", f"data.root={root}"))


def test_a_turn_without_its_file_is_named(tmp_path):
    root = make_iemocap(tmp_path)
    folder = root / "IEMOCAP_full_release" / "Session2" / "sentences" / "wav" / "Ses02F_impro01"
    (folder / "Ses02F_impro01_F000.wav").unlink()
    with pytest.raises(UserError, match=r"Ses02F_impro01_F000\.wav: cannot be found"):
        make_data(config("data=iemocap", f"data.root={root}"))


@pytest.fixture(scope="module")
def msp_podcast(tmp_path_factory):
    """Four parts of 30 clips. Shared: do not write there."""
    return make_msp_podcast(tmp_path_factory.mktemp("msp"))


@pytest.mark.parametrize(
    ("split", "test", "unused"), [("official", "Test1", "Test2"), ("official_test2", "Test2", "Test1")]
)
def test_msp_podcast_is_split_as_its_table_says(msp_podcast, split, test, unused):
    data = make_data(config("data=msp_podcast", f"data.root={msp_podcast}", f"data.split={split}"))
    assert len(data.task.outputs) == 8
    parts = {
        subset: [data.manifest[row] for row in getattr(data.split, subset)] for subset in ("train", "val", "test")
    }
    folds = {subset: {clip.fold for clip in clips} for subset, clips in parts.items()}
    assert folds == {"train": {"Train"}, "val": {"Development"}, "test": {test}}
    assert {subset: len(clips) for subset, clips in parts.items()} == {"train": 24, "val": 24, "test": 24}
    assert data.warnings()["outside_split"] == 24  # of the other test set
    assert data.warnings()["left_out_by_label"] == 24  # no agreement, and "other"
    clip = parts["test"][0]
    assert clip.values.keys() == {"arousal", "valence", "dominance"} and clip.values["arousal"] == 2.2
    assert clip.sex == "female"


@pytest.mark.parametrize("where", ["", "Audios"])
def test_unknown_speakers_are_counted_and_nothing_is_claimed_of_them(msp_podcast, where):
    data = make_data(config("data=msp_podcast", f"data.root={msp_podcast / where}"))
    assert data.warnings()["unknown_speaker"] == 8
    record = data.training_record()
    assert record["heard"]["train"]["speakers"] == ["msp_podcast:0", "msp_podcast:1"]
    leakage = TrainingRecord.from_stamp(record).leakage(data.clips, data.split.test, same_speakers=None)
    assert not leakage["train/test"] and data.protocol()["speaker_independent"] is True
    dealt = make_data(config("data=msp_podcast", f"data.root={msp_podcast / where}", "data.split=random"))
    assert dealt.protocol()["speaker_independent"] is False
    report = audited(data)
    assert report.passed
    assert (report.clips.expected, report.speakers.found, report.speakers.expected) == (None, 11, None)
    texts = {finding.kind: finding.text for finding in report.findings}
    assert texts["unknown_speakers"].startswith("8 clips of unknown speakers")


def test_a_sound_that_was_trained_on_is_named_where_no_speaker_is_known(msp_podcast):
    data = make_data(config("data=msp_podcast", f"data.root={msp_podcast}"))
    sound = data.manifest[data.split.test[0]].audio_hash
    heard = {"train": {"speakers": [], "clips": [sound]}, "val": {"speakers": [], "clips": []}}
    leakage = TrainingRecord.from_stamp({"heard": heard}).leakage(data.clips, data.split.test, same_speakers=None)
    assert leakage["train/test"].n_sounds == 1 and not keeps_test_apart(leakage)


def test_leaving_each_speaker_out_of_a_large_corpus_is_not_looked_at_unless_it_is_asked_for(
    msp_podcast, monkeypatch
):
    monkeypatch.setattr(folds, "_MOST_ROWS", 1000)
    names = {}
    for split in ("official", "loso"):
        report = audited(make_data(config("data=msp_podcast", f"data.root={msp_podcast}", f"data.split={split}")))
        names[split] = {each.name for each in report.splits}
    assert names == {
        "official": {"official", "official_test2", "kfold", "random", "file"},
        "loso": {*names["official"], "loso"},
    }


def test_an_unknown_speaker_on_two_sides_is_no_leak(tmp_path):
    rows = [
        f"MSP-PODCAST_0001_{number:04d}.wav,A,,,,Unknown,Unknown,{part}"
        for number, part in ((2, "Train"), (3, "Test1"), (4, "Development"))
    ]
    root = make_msp_podcast(tmp_path, rows=rows)
    for number in (2, 3, 4):
        tone(root / "Audios" / f"MSP-PODCAST_0001_{number:04d}.wav", 20 + number)
    data = make_data(config("data=msp_podcast", f"data.root={root}"))
    tested = [data.manifest[row] for row in data.split.test if not data.manifest[row].speaker_is_known]
    assert [clip.speaker for clip in tested] == ["unknown speaker of podcast 0001"]  # one cluster of a bootstrap
    assert tested[0].values == {}
    assert data.protocol()["speaker_independent"] is True
    assert audited(data).passed
    speakers = rows[0].replace("Unknown,Unknown", "10,Male")
    (root / "Labels" / "labels_consensus.csv").write_text(
        (root / "Labels" / "labels_consensus.csv").read_text().replace(rows[0], speakers)
    )
    with pytest.raises(UserError, match="shares speakers between its parts: 10"):
        make_data(config("data=msp_podcast", f"data.root={root}"))


def test_the_audit_knows_a_documented_release_by_its_parts(msp_podcast):
    corpus = load_corpus("msp_podcast")
    report = audited(make_data(config("data=msp_podcast", f"data.root={msp_podcast}")))
    (found,) = [finding for finding in report.findings if finding.kind == "release"]
    assert found.severity == "warning"
    assert found.text.startswith("30 Development, 30 Test1, 30 Test2, 30 Train are the parts of no release")
    assert "1.11: 84,030 Train" in found.text
    clip = Utterance(id="", path="", corpus="", speaker="1", emotion="", fold="Train")
    parts = [replace(clip, fold=fold) for fold, n in corpus.releases["1.11"].items() for _ in range(n)]
    (found,) = release_findings(corpus, Manifest(parts))
    assert (found.severity, found.text) == ("note", "its parts have as many clips as those of release 1.11")
    assert [each.severity for each in release_findings(corpus, Manifest(parts[1:]))] == ["warning"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x.wav,Z,1,1,1,5,Male,Train", "line 122: Z is no class of the corpus"),
        ("x.wav,A,1,1,1,5,Male,Validation", "line 122: 'Validation' is no part of the corpus"),
        ("x.wav,A,1,high,1,5,Male,Train", "line 122: emoval is 'high', which is no number"),
        ("x.wav,A,1,1,1,5,Male,Train", r"x\.wav \(line 122\): cannot be found"),
    ],
)
def test_what_is_wrong_with_the_table_is_said(tmp_path, row, said):
    root = make_msp_podcast(tmp_path, rows=[row])
    with pytest.raises(UserError, match=said):
        make_data(config("data=msp_podcast", f"data.root={root}"))
    (root / "Labels" / "labels_consensus.csv").unlink()
    with pytest.raises(UserError, match=r"no table of labels beside .*Labels/labels_consensus\.csv"):
        make_data(config("data=msp_podcast", f"data.root={root}"))


def test_a_clip_that_the_table_lists_twice_is_not_guessed(tmp_path):
    row = "MSP-PODCAST_0001_0001.wav,S,2.2,4.0,1.050000,1,Female,Train"
    root = make_msp_podcast(tmp_path, rows=[row])
    with pytest.raises(
        UserError, match=r"lines 3, 122: MSP-PODCAST_0001_0001\.wav is listed, with differences, 2 times"
    ):
        make_data(config("data=msp_podcast", f"data.root={root}"))
    table = root / "Labels" / "labels_consensus.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[2]]))
    assert make_data(config("data=msp_podcast", f"data.root={root}")).manifest


def test_clips_without_published_labels_are_left_out(tmp_path):
    root = make_msp_podcast(tmp_path, rows=["MSP-PODCAST_test3_0001.wav,,,,,,,Test3"])
    tone(root / "Audios" / "MSP-PODCAST_test3_0001.wav", 30)
    data = make_data(config("data=msp_podcast", f"data.root={root}"))
    assert data.warnings()["left_out_by_label"] == 25
    assert "MSP-PODCAST_test3_0001" not in data.manifest.column("id")
