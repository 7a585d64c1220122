"""Corpora in the layouts they are published in: what is found there, how it is split, what the audit says."""

from itertools import product

import pytest
from conftest import config
from layouts import tone

from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.training.experiment import make_data


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
