"""Trouble planted in small corpora is found, and what is sound is left in peace."""

import csv
import io
import json
import os
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from conftest import config, make_clip, make_cremad
from layouts import make_csv
from rich.console import Console

from ser_lightning.cli import main
from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.data.audit.findings import label_findings, speaker_findings, split_findings
from ser_lightning.data.audit.folds import audit_splits
from ser_lightning.data.audit.tables import print_audit, print_splits
from ser_lightning.data.manifest import Manifest, Utterance
from ser_lightning.data.splits.rules import LeaveOneSpeakerOut, RandomClips, SpeakerFolds
from ser_lightning.training.experiment import make_data, unsplit_data
from ser_lightning.utils.errors import UserError

GIVEN = os.environ.get("SER_TEST_CREMAD")


def looked_over(*overrides, rules=None, chosen="actors5", **options):
    module = unsplit_data(config(*overrides, "data.on_bad=exclude"))
    return audit(module.clips, module.rules if rules is None else rules, chosen=chosen, **options)


def of_cremad(root, **options):
    return looked_over("data=cremad", f"data.root={root}", **options)


def found(result, kind):
    """The one finding of that kind, or None."""
    findings = [finding for finding in result.findings if finding.kind == kind]
    assert len(findings) <= 1, findings
    return findings[0] if findings else None


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A user's corpus with nothing amiss: four speakers, two emotions, fixed sentences."""
    folder = tmp_path_factory.mktemp("whole")
    rows = []
    for seed, (who, what, code) in enumerate(
        (w, s, e) for w in "abcd" for s in ("DFA", "IEO") for e in ("ANG", "SAD")
    ):
        name = f"{who}_{what}_{code}_XX.wav"
        make_clip(folder / name, seed=1000 + seed)
        sex = "female" if who in "ab" else "male"
        rows.append({"path": name, "emotion": code, "speaker": who, "sentence": what, "sex": sex})
    return write_csv(folder / "clips.csv", rows)


@pytest.fixture
def root(tmp_path):
    return make_cremad(tmp_path / "corpus")


def of_csv(path, *overrides, **options):
    return looked_over("data=csv", f"data.manifest={path}", "data.splits.kfold.n_folds=4", *overrides, **options)


def test_a_whole_corpus_passes(whole):
    result = of_csv(whole, chosen="kfold")
    assert result.passed
    assert {finding.kind for finding in result.of("warning")} == set()
    assert {finding.kind for finding in result.of("note")} == {"shared_sentences"}
    assert (result.clips.found, result.clips.expected) == (16, 16)
    assert (result.speakers.found, result.speakers.expected) == (4, 4)
    assert result.speakers_by_sex == {"female": 2, "male": 2}
    anger = result.labels["ANG"]
    assert (anger.clips.found, anger.clips.expected, anger.clips_by_sex) == (8, 8, {"female": 4, "male": 4})
    assert asdict(anger.clips_per_speaker) == {"min": 2, "median": 2, "max": 2}
    assert [asdict(each) for each in result.formats] == [
        {"rate_hz": 16_000, "channels": 1, "n_clips": 16, "paths": ()}
    ]
    assert result.duration_s.min == result.duration_s.max == 0.4
    assert result.total_s == pytest.approx(6.4)


def test_files_in_another_format_than_most_are_named(whole, tmp_path):
    rows = [
        {"path": f"{name}.wav", "emotion": "ANG", "speaker": name[0]} for name in ("a1", "a2", "b1", "b2", "c1")
    ]
    for number, row in enumerate(rows):
        channels = 2 if row["path"] in ("a2.wav", "c1.wav") else 1
        samples = np.random.default_rng(number).normal(scale=0.1, size=(4_000, channels))
        soundfile.write(tmp_path / row["path"], samples, 8_000 if row["path"] == "b2.wav" else 16_000)
    found = of_csv(write_csv(tmp_path / "clips.csv", rows)).to_json()["formats"]
    assert [(each["channels"], each["rate_hz"], each["paths"]) for each in found] == [
        (1, 16_000, ()),
        (2, 16_000, ("a2.wav", "c1.wav")),
        (1, 8_000, ("b2.wav",)),
    ]


def test_unusable_and_misnamed_files_are_listed_by_reason_and_fail(root):
    folder = root / "AudioWAV"
    for name in ("1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav"):
        (folder / name).write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "1002_IEO_SAD_XX.wav").write_bytes(b"")
    (folder / "1001_DFA_JOY_XX.wav").write_bytes(b"x")
    result = of_cremad(root)
    assert not result.passed
    unusable = {finding.text: finding.names for finding in result.of("error")}
    assert len(unusable) == 3
    lfs = next(text for text in unusable if "Git LFS" in text)
    assert lfs.startswith("2 files cannot be used: each is")
    assert set(unusable[lfs]) == {"1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav"}
    assert any("it has the unknown emotion code JOY" in text for text in unusable)
    assert result.clips.found == 93


def test_many_reasons_end_in_one_finding(root):
    for seed in range(15):
        make_clip(root / "AudioWAV" / f"1001_DFA_{chr(65 + seed)}AA_XX.wav", seed=seed)
    findings = of_cremad(root).of("error")
    assert len(findings) == 11
    assert findings[-1].text == "5 files cannot be used for other reasons"
    assert sum(len(finding.names) for finding in findings) == 15
    assert all("unknown emotion code" in name for name in findings[-1].names)


def test_silent_short_and_clipped_clips_are_warnings(root):
    folder = root / "AudioWAV"
    soundfile.write(folder / "1001_DFA_ANG_XX.wav", np.zeros(8000), 16_000)
    make_clip(folder / "1002_DFA_ANG_XX.wav", seed=99, seconds=0.1)
    loud = np.clip(3 * np.sin(np.arange(8000) / 20), -1, 1)
    soundfile.write(folder / "1020_DFA_ANG_XX.wav", np.stack([loud, loud], axis=1), 16_000)
    result = of_cremad(root)
    assert result.passed
    assert found(result, "silent").names == ("1001_DFA_ANG_XX",)
    assert found(result, "short").names == ("1002_DFA_ANG_XX",)
    assert found(result, "clipped").names == found(result, "square_waves").names == ("1020_DFA_ANG_XX",)
    assert [(each.channels, each.n_clips) for each in result.formats] == [(1, 95), (2, 1)]


def test_duplicates_are_told_apart_by_what_they_are_called(root):
    folder = root / "AudioWAV"
    shutil.copy(folder / "1001_DFA_HAP_XX.wav", folder / "1001_DFA_NEU_XX.wav")
    shutil.copy(folder / "1001_DFA_SAD_XX.wav", folder / "1001_IEO_SAD_XX.wav")
    result = of_cremad(root)
    assert result.passed
    assert found(result, "contradictory_duplicates").names == (
        "1001_DFA_HAP_XX (happiness) = 1001_DFA_NEU_XX (neutral)",
    )
    assert found(result, "duplicates").names == ("1001_DFA_SAD_XX (sadness) = 1001_IEO_SAD_XX (sadness)",)
    assert [each.ids for each in result.duplicates if each.contradictory] == [
        ("1001_DFA_HAP_XX", "1001_DFA_NEU_XX")
    ]


def test_a_sound_on_two_sides_of_a_speaker_independent_split_fails(root):
    folder = root / "AudioWAV"
    shutil.copy(folder / "1001_DFA_HAP_XX.wav", folder / "1060_DFA_HAP_XX.wav")  # folds 0 and 3
    result = of_cremad(root)
    assert not result.passed
    torn = [finding for finding in result.of("error") if "split actors5" in finding.text]
    assert [finding.kind for finding in torn] == ["duplicates_across_split"]
    assert torn[0].text == "split actors5 is declared speaker-independent: 1 sound in more than one part"
    same = "1001_DFA_HAP_XX = 1060_DFA_HAP_XX"
    # in fold 1 both train; elsewhere one of them tests or validates
    assert torn[0].names == tuple(f"fold {fold}: {same}" for fold in (0, 2, 3, 4))


def test_a_broken_promise_is_listed_where_splitting_would_stop(root):
    class Leaky(RandomClips):
        speaker_independent = True

    result = of_cremad(root, rules={"leaky": Leaky()}, chosen="leaky")
    assert not result.passed
    broken = found(result, "broken_promise")
    assert broken.severity == "error"
    assert "8 speakers" in broken.text
    assert "fold 0: 1001" in broken.names
    assert not result.splits[0].keeps_its_promise


def test_a_split_that_shares_speakers_says_how_many(root):
    assert found(of_cremad(root), "shared_speakers") is None  # of a split that was not chosen
    result = of_cremad(root, chosen="random")
    warning = found(result, "shared_speakers")
    assert warning.severity == "warning"
    assert warning.text.startswith("split random: 8 of 8 test speakers also train, and so do ")
    random = next(each for each in result.splits if each.name == "random")
    assert all(fold.shared_speakers and not random.speaker_independent for fold in random.folds)


def test_labels_without_clips_fail_and_speakers_without_a_label_are_named(root):
    for path in (root / "AudioWAV").glob("*_NEU_XX.wav"):
        path.unlink()
    for path in (root / "AudioWAV").glob("1001_*_SAD_XX.wav"):
        path.unlink()
    result = of_cremad(root)
    absent = found(result, "label_without_clips")
    assert (absent.severity, absent.names) == ("error", ("neutral",))
    lacking = found(result, "speaker_without_label")
    assert (lacking.severity, lacking.text, lacking.names) == ("note", "1 speaker without sadness", ("1001",))
    assert result.labels["sadness"].speakers_without == ("1001",)
    assert result.labels["sadness"].clips_per_speaker.min == 0


def test_a_part_of_a_corpus_is_measured_against_the_whole(root):
    result = of_cremad(root)
    assert (result.clips.found, result.clips.expected) == (96, 7442)
    assert (result.speakers.found, result.speakers.expected) == (8, 91)
    assert (result.labels["neutral"].clips.found, result.labels["neutral"].clips.expected) == (16, 1087)
    assert found(result, "missing").text == "7,346 clips missing: results are on a part of the corpus"


def test_the_chosen_split_must_be_possible(whole, root):
    kinds = {finding.kind: finding.severity for finding in of_csv(whole, chosen="file").findings}
    assert kinds["no_split"] == "error" and "folds_left_out" not in kinds
    kinds = {finding.kind: finding.severity for finding in of_csv(whole, chosen="kfold").findings}
    assert "no_split" not in kinds


def test_no_part_of_the_chosen_split_may_be_empty(whole):
    clips = unsplit_data(config("data=csv", f"data.manifest={whole}")).clips

    def empty(folds, chosen="some"):
        result = audit(clips, {"some": SpeakerFolds(folds=folds)}, chosen=chosen)
        assert result.passed is not any(finding.severity == "error" for finding in result.findings)
        finding = found(result, "empty_fold") or found(result, "no_split")
        return finding and (finding.severity, finding.text, finding.names)

    assert empty([["a"], ["b"], ["c", "d"]]) is None
    text = (
        "split some: no training clips in fold 0, 1; no validation clips in fold 1, 2; no test clips in fold 0, 2"
    )
    assert empty([["x"], ["a", "b", "c", "d"], ["y"]]) == ("error", text, ())
    text = "split some: no validation clips in fold 2; no test clips in fold 3"
    assert empty([["a"], ["b"], ["c", "d"], ["x"]]) == ("error", text, ())
    assert empty([["a"], ["b"], ["c", "d"], ["x"]], chosen="other") is None


@pytest.mark.parametrize(
    ("speakers", "split", "text"),
    [
        (
            ("1001", "1002"),
            "actors5",
            "split actors5: no training clips in fold 0, 4; no validation clips in fold 0",
        ),
        (("1001", "1002"), "kfold", "split kfold cannot be made: 5 folds need as many speakers, and there are 2"),
        (("1001",), "loso", "split loso cannot be made: there is one speaker alone, 1001, and nobody to test on"),
    ],
)
def test_too_few_speakers_for_the_chosen_split_fail(tmp_path, speakers, split, text):
    root = make_cremad(tmp_path / "corpus", speakers=speakers)
    ended = CliRunner().invoke(main, ["data", "audit", "cremad", "--root", str(root), f"data.split={split}"])
    assert ended.exit_code == 1
    assert text in " ".join(ended.stdout.split())


def test_validation_on_the_training_speaker_passes_with_a_warning(tmp_path):
    result = of_cremad(make_cremad(tmp_path / "corpus", speakers=("1001", "1002")), chosen="loso")
    finding = found(result, "validation_on_training_speakers")
    assert result.passed
    assert (finding.severity, finding.names) == ("warning", ("1001", "1002"))
    three = of_cremad(make_cremad(tmp_path / "three", speakers=("1001", "1002", "1003")), chosen="loso")
    assert found(three, finding.kind) is None


def test_a_column_without_a_validation_part_promises_none(whole, tmp_path):
    rows = list(csv.DictReader(whole.open()))
    for row in rows:
        row |= {"path": str(whole.parent / row["path"]), "fold": "Test" if row["speaker"] == "d" else "Train"}
    result = of_csv(write_csv(tmp_path / "clips.csv", rows), chosen="file")
    assert result.passed
    (fold,) = next(split for split in result.splits if split.name == "file").folds
    run = looked_over("data=csv", f"data.manifest={tmp_path / 'clips.csv'}", chosen="file", needs_validation=True)
    assert not run.passed
    assert found(run, "empty_fold").text == "split file: no validation clips in fold 0"
    assert (fold.fold, fold.train.n_clips, fold.val.n_clips, fold.test.speakers) == (0, 12, 0, ("d",))


def test_folds_are_listed_by_the_numbers_that_a_run_takes(whole, tmp_path):
    rows = list(csv.DictReader(whole.open()))
    for row in rows:
        row |= {"path": str(whole.parent / row["path"]), "fold": "abcd".index(row["speaker"]) + 1}
    path = write_csv(tmp_path / "clips.csv", rows)
    split = next(split for split in of_csv(path, chosen="file").splits if split.name == "file")
    assert [(fold.fold, fold.test.speakers) for fold in split.folds] == [
        (n, ("abcd"[n - 1],)) for n in (1, 2, 3, 4)
    ]
    data = make_data(config("data=csv", f"data.manifest={path}", "data.split=file", "data.fold=4"))
    assert (data.protocol()["fold"], data.protocol()["split_hash"]) == (4, split.folds[3].hash)
    page = io.StringIO()
    print_splits([split], ["ANG", "SAD"], Console(file=page, width=100))
    assert f"hash of fold  1  {split.folds[0].hash}" in page.getvalue()


def clips_of(counts, corpus="x"):
    names = [(who, f"{who}_{n}") for who, n_clips in counts.items() for n in range(n_clips)]
    return Manifest(Utterance(id=id, path=id, corpus=corpus, speaker=who, emotion="fear") for who, id in names)


def test_a_speaker_with_a_clip_or_two_among_many_is_named():
    (finding,) = speaker_findings(clips_of({"OAF": 1399, "YAF": 1400, "OA": 1}))
    assert (finding.severity, finding.kind, finding.names) == ("warning", "few_clips", ("OA (1 clip)",))
    assert finding.text == "1 speaker with 1 or 2 clips where 1,400 are usual, maybe misspelt"
    (finding,) = speaker_findings(clips_of({"a": 60, "b": 80, "c": 70, "d": 2, "e": 1, "f": 3}))
    assert finding.names == ("d (2 clips)", "e (1 clip)")
    (finding,) = speaker_findings(clips_of({"OAF": 700, "YAF": 700, "OA": 1, "YF": 1, "OAV": 2}))
    assert finding.names == ("OA (1 clip)", "YF (1 clip)", "OAV (2 clips)")  # more misspelt names than others
    pooled = Manifest([*clips_of({"a": 100, "b": 100, "c": 1}), *clips_of({"a": 1, "b": 1, "c": 2}, corpus="y")])
    assert [finding.names for finding in speaker_findings(pooled)] == [("c (1 clip)",)]


def labelled(*speakers_and_labels, sex=""):
    return [
        Utterance(id=f"{n}", path=f"{n}", corpus="x", speaker=who, emotion=label, sex=sex)
        for n, (who, label) in enumerate(speakers_and_labels)
    ]


def test_a_column_that_is_not_the_speaker_is_asked_about():
    (finding,) = speaker_findings(Manifest(labelled(*((f"clip{n}", "fear") for n in range(9)))))
    assert (finding.severity, finding.kind) == ("warning", "one_clip_each")
    assert finding.text.startswith("nearly every one of 9 speakers has one clip: is this column the speaker?")
    by_label = [(f"{n}_{label}", label) for n in range(3) for label in ("fear", "joy") for _ in range(4)]
    (finding,) = speaker_findings(Manifest(labelled(*by_label)))
    assert finding.kind == "one_label_each"
    (finding,) = speaker_findings(
        Manifest(labelled(*((label, label) for label in ("fear", "joy") for _ in range(9))))
    )
    assert finding.kind == "one_label_each"
    few = [(who, label) for who in "abc" for label in ("fear", "joy", "anger")] * 2
    assert not list(speaker_findings(Manifest(labelled(*few))))
    mixed = [(f"{n}", label) for n in range(6) for label in ("fear", "joy")]
    assert not list(speaker_findings(Manifest(labelled(*mixed))))


def test_a_speaker_of_two_sexes_is_named():
    rows = labelled(("a", "fear"), ("b", "joy"), sex="female") + labelled(("a", "joy"), ("b", "fear"))
    assert not list(speaker_findings(Manifest(rows)))
    (finding,) = speaker_findings(Manifest([*rows, *labelled(("a", "joy"), sex="male")]))
    assert (finding.severity, finding.kind, finding.names) == ("warning", "two_sexes", ("a",))
    assert finding.text == "1 speaker of more than one sex"


@pytest.mark.parametrize(
    "counts",
    [
        {"a": 2, "b": 2},
        {"a": 10, "b": 12, "c": 1},
        {"a": 90, "b": 30, "c": 9},
        {"a": 1},
        {"a": 60, "b": 60, **{f"{n}": 1 for n in range(30)}},
    ],
)
def test_where_few_clips_are_usual_nobody_is_named(counts):
    assert list(speaker_findings(clips_of(counts))) == []


def test_hashes_and_sizes_are_those_of_a_run(root):
    data = make_data(config("data=cremad", f"data.root={root}", "data.fold=2"))
    found = audit_splits(data.manifest, data.task.labels, {"actors5": data.rules["actors5"]})[0].folds[2]
    protocol = data.protocol()
    assert found.hash == protocol["split_hash"]
    assert [found.train.n_clips, found.val.n_clips, found.test.n_clips] == [
        protocol["n_train"],
        protocol["n_val"],
        protocol["n_test"],
    ]
    assert found.test.speakers == ("1040", "1041")
    assert found.test.clips_by_label == dict.fromkeys(data.task.labels, 4)


def test_several_corpora_are_looked_over_as_one(root, whole):
    other = write_csv(
        whole.parent / "named.csv",
        [
            {**row, "emotion": {"ANG": "anger", "SAD": "sadness"}[row["emotion"]]}
            for row in csv.DictReader(whole.open())
        ],
    )
    soundfile.write(root / "AudioWAV" / "1001_DFA_ANG_XX.wav", np.zeros(8000), 16_000)
    overrides = [
        "data=cremad",
        f"data.root={root}",
        f"data.test_corpus={other}",
        "data/label_map=six",
        "data.splits.kfold.n_folds=4",
    ]
    result = looked_over(*overrides)
    assert result.of("error") == []
    assert found(result, "silent").names == ("1001_DFA_ANG_XX",)
    result_of_random = looked_over(*overrides, chosen="random")
    text = found(result_of_random, "shared_speakers").text
    assert text == "split random: speakers are shared outside the test set"
    assert result.labels["anger"].clips.expected == 1271 + 8
    assert {len(fold.test.speakers) for fold in result.splits[0].folds} == {4}


def test_nothing_to_look_at_is_an_error(root):
    class Empty:
        manifest, reports, title, labels = (), (), "nothing", ()

    with pytest.raises(UserError, match="no clip of nothing"):
        audit(Empty(), {}, chosen="")


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_is_no_wider_than_it_may_be_and_cuts_no_id(root, width):
    folder = root / "AudioWAV"
    shutil.copy(folder / "1001_DFA_HAP_XX.wav", folder / "1001_DFA_NEU_XX.wav")
    (folder / "1002_DFA_ANG_XX.wav").write_bytes(b"")
    result = of_cremad(root)
    page = io.StringIO()
    console = Console(file=page, width=width, highlight=False, markup=False)
    print_audit(result, console)
    print_splits(result.splits, list(result.labels), console)
    text = page.getvalue()
    assert all(len(line) <= width for line in text.replace(str(folder), "").splitlines())
    assert "…" not in text
    assert "1001_DFA_HAP_XX (happiness) = 1001_DFA_NEU_XX (neutral)" in text
    assert "1 file cannot be used: it is empty" in text
    assert all(fold.hash in text for fold in result.splits[0].folds)
    assert "failed: 1 error, 2 warnings" in text


def test_the_json_holds_what_the_page_says(root):
    result = of_cremad(root)
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert plain["passed"] is True
    assert plain["schema"] == 2
    assert [finding["text"] for finding in plain["findings"]] == [finding.text for finding in result.findings]
    assert plain["labels"]["anger"]["clips"] == {"found": 16, "expected": 1271}
    assert plain["splits"][0]["folds"][0]["test"]["speakers"] == list(result.splits[0].folds[0].test.speakers)


@pytest.mark.skipif(not GIVEN, reason="SER_TEST_CREMAD names no directory")
def test_the_trouble_of_cremad_is_named_and_passes():
    result = of_cremad(Path(str(GIVEN)).resolve())
    assert result.passed
    assert found(result, "silent").names == ("1076_MTI_SAD_XX",)
    assert found(result, "contradictory_duplicates").names == (
        "1006_TIE_HAP_XX (happiness) = 1006_TIE_NEU_XX (neutral)",
        "1013_WSI_DIS_XX (disgust) = 1013_WSI_SAD_XX (sadness)",
        "1017_IWW_ANG_XX (anger) = 1017_IWW_FEA_XX (fear)",
    )
    assert found(result, "duplicates") is None
    speakers = {row.speaker for row in unsplit_data(config("data=cremad", f"data.root={GIVEN}")).clips.manifest}
    n = len(speakers)
    random = of_cremad(Path(str(GIVEN)).resolve(), chosen="random")
    assert f"{n} of {n} test speakers also train" in found(random, "shared_speakers").text


def test_one_label_is_none():
    findings = list(label_findings({"fear": 3}, {"fear": []}, n_left_out=0, n_unlabelled=0))
    assert [(finding.severity, finding.kind) for finding in findings] == [("error", "single_label")]


def test_speakers_of_joined_lists_are_expected_once(tmp_path):
    lists = [make_csv(tmp_path / name) for name in ("one", "two")]
    pool = ["data=pooled", f"data.corpora=[{lists[0]},{lists[1]}]", "data.label_map.calm=neutral"]
    for answer, n_speakers in (("yes", 5), ("no", 10)):
        result = looked_over(*pool, "+data.label_map.upset=anger", f"data.same_speakers={answer}", chosen="kfold")
        assert (result.speakers.found, result.speakers.expected) == (n_speakers, n_speakers)


def of_speakers(n_speakers, **changes):
    """A corpus with so many speakers of a clip for each label, ``changes`` by id."""
    rows = [
        Utterance(id=f"{who}_{label}", path="", corpus="x", speaker=who, emotion=label, audio_hash=f"{who}{label}")
        for who in (f"{number:04d}" for number in range(n_speakers))
        for label in "ab"
    ]
    return Manifest(replace(row, **changes.get(row.id, {})) for row in rows)


def operations(manifest):
    """How many functions are called to look at the folds that leave one speaker out, and what is found."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        (split,) = audit_splits(manifest, "ab", {"loso": LeaveOneSpeakerOut()}, most_folds=5)
    finally:
        sys.setprofile(None)
    return calls, split


def test_the_work_of_an_audit_grows_in_a_line_with_the_speakers():
    few, many = operations(of_speakers(100)), operations(of_speakers(400))
    assert len(few[1].folds) == len(many[1].folds) == 5 and many[1].n_folds == 400
    assert few[0] < many[0] < 4.4 * few[0]
    (note,) = (each for each in split_findings(many[1], needs_validation=True) if each.kind == "folds_left_out")
    assert note.text.startswith("split loso: 5 of 400 folds were looked at")


def test_of_very_many_folds_those_are_looked_at_in_which_something_is_wrong():
    same = {"audio_hash": "same"}
    unlabelled = {"emotion": ""}
    manifest = of_speakers(
        300, **{"0200_a": same, "0250_b": same, "0270_a": unlabelled, "0270_b": unlabelled, "0280_a": unlabelled}
    )
    split = operations(manifest)[1]
    assert [fold.fold for fold in split.folds] == [0, 1, 200, 250, 270]
    kinds = {each.kind: each for each in split_findings(split, needs_validation=True)}
    assert kinds["duplicates_across_split"].names[0] == "fold 200: 0200_a = 0250_b"
    assert kinds["empty_fold"].text.endswith("no test clips in fold 270")
