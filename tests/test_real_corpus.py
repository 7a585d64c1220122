"""On real clips, where a part of CREMA-D is given: SER_TEST_CREMAD names its directory."""

import json
import os
from pathlib import Path

import pytest
from conftest import config

from ser_lightning.data.cache import prepare
from ser_lightning.data.corpora import load_corpus
from ser_lightning.experiment import make_data, train
from ser_lightning.run import RunDirectory

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
