"""On real clips, where a part of CREMA-D is given: SER_TEST_CREMAD names its directory."""

import csv
import json
import os
from pathlib import Path
from random import Random

import pytest
from conftest import config

from ser_lightning.data.audit.corpus_audit import audit
from ser_lightning.data.audit.speaker_encoder import weights_file
from ser_lightning.data.audit.speakers import compare_clips_by_speaker
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.prepare.cache import prepare
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import make_data, train, unsplit_data
from ser_lightning.utils.errors import UserError

GIVEN = os.environ.get("SER_TEST_CREMAD")

pytestmark = pytest.mark.skipif(not GIVEN, reason="SER_TEST_CREMAD names no directory")


@pytest.fixture
def overrides():
    return ["data=cremad", f"data.root={Path(str(GIVEN)).resolve()}"]


def test_the_corpuss_known_trouble_is_found():
    report = prepare(load_corpus("cremad"), Path(str(GIVEN))).report
    assert report.silent == ("1076_MTI_SAD_XX",)
    assert set(report.duplicate_audio) == {
        ("1006_TIE_HAP_XX", "1006_TIE_NEU_XX"),
        ("1013_WSI_DIS_XX", "1013_WSI_SAD_XX"),
        ("1017_IWW_ANG_XX", "1017_IWW_FEA_XX"),
    }
    assert report.bad == ()


def test_fold_0_tests_on_unheard_actors(overrides):
    data = make_data(config(*overrides))
    speakers = {name: {data.manifest[row].speaker for row in getattr(data.split, name)} for name in ("val", "test")}
    assert all("1001" <= speaker <= "1018" for speaker in speakers["test"])
    assert all("1019" <= speaker <= "1036" for speaker in speakers["val"])


def test_a_network_learns_from_real_speech(overrides, tmp_path):
    run = RunDirectory(tmp_path / "run")
    small = ["model.net.channels=[8,16,32]", "model.frontend.n_mels=40", "trainer.max_epochs=4", "logger=none"]
    train(config(*overrides, *small, "model.augment=null"), run)
    result = json.loads(run.result.read_text())
    assert result["metrics"]["val"]["uar"] > 0.25  # chance is 0.167
    assert result["warnings"]["silent"] == 1


def compared(*overrides):
    """An audit with its speakers compared; skips where the encoder's weights are not installed."""
    try:
        weights = weights_file()
    except UserError:
        pytest.skip("the weights of Resemblyzer are not installed")
    module = unsplit_data(config(*overrides))
    similarity = compare_clips_by_speaker(module.clips, weights)
    return audit(module.clips, module.rules, chosen="kfold", speaker_similarity=similarity)


def test_every_actor_is_told_from_the_others(overrides):
    result = compared(*overrides)
    similarity = result.speaker_similarity
    assert (len(similarity.speakers), similarity.silent) == (12, ("1076_MTI_SAD_XX",))
    assert (similarity.cannot_tell, similarity.same_person, similarity.two_people) == ("", (), ())
    assert similarity.different[2] < 0.7
    assert result.passed


def test_actors_under_two_names_and_two_under_one_are_found(tmp_path):
    """About half of the clips of 1001 and of 1050 are given a new speaker, and two actors one name."""
    named = {"1064": "1006"}
    rows, random = [], Random(0)
    for path in sorted(Path(str(GIVEN)).resolve().glob("AudioWAV/*")):
        actor, _, emotion, _ = path.stem.split("_")
        renamed = random.random() < 0.5 and actor in ("1001", "1050")
        speaker = f"new-{actor}" if renamed else named.get(actor, actor)
        rows.append({"path": str(path), "emotion": emotion, "speaker": speaker})
    listed = tmp_path / "clips.csv"
    with listed.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = compared("data=csv", f"data.manifest={listed}")
    similarity = result.speaker_similarity
    assert {pair.speakers for pair in similarity.same_person} == {("1001", "new-1001"), ("1050", "new-1050")}
    assert [each.speaker for each in similarity.two_people] == ["1006"]
    failures = {finding.kind: finding for finding in result.of("error")}
    assert set(failures) == {"same_person_across_split"}
    assert "parts 2 pairs of speakers" in failures["same_person_across_split"].text
