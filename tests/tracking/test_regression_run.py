"""What W&B is told of a run that predicts numbers, read back from its own file."""

import json

import numpy as np
import pytest
from conftest import config
from layouts import tone
from made_checkpoint import SMALL
from wandb_log import clean_environment, read_run

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import train

assert clean_environment  # a fixture of every test here
TARGETS = ("arousal", "valence")
METRICS = ("ccc", "pearson", "mae", "rmse")


@pytest.fixture
def tracked(tmp_path):
    """A run of two epochs with its offline W&B run, and what that holds."""
    lines, random = [",".join(["path", "speaker", *TARGETS])], np.random.default_rng(0)
    for number in range(20):
        tone(tmp_path / f"{number}.wav", number % 4 + number / 1000)
        values = random.normal([1 + number % 4, 3 - number % 4], 0.1).round(3)
        lines.append(",".join(map(str, [f"{number}.wav", f"p{number // 4}", *values])))
    (tmp_path / "my.csv").write_text("\n".join(lines) + "\n")
    settings = ["data=csv", f"data.manifest={tmp_path / 'my.csv'}", f"data.targets=[{','.join(TARGETS)}]"]
    cfg = config(*settings, *SMALL, "logger=default", "trainer.max_epochs=2", "trainer.precision=32")
    run = RunDirectory(tmp_path / "run")
    train(cfg, run)
    return run, read_run(run.path)


def table(run, entry):
    (path,) = (run.path / "wandb").glob(f"offline-run-*/files/{entry['path']}")
    return json.loads(path.read_text())


@pytest.mark.pictures
def test_scores_curves_scatter_and_predictions_are_in_it(tracked):
    run, told = tracked
    result = run.read_result()
    for part in ("val", "test"):
        scores = getattr(result.metrics, part)
        for name in METRICS:
            assert told.summary[f"{part}/{name}"] == pytest.approx(getattr(scores, name))
            for target in TARGETS:
                expected = getattr(scores.targets[target], name)
                assert told.summary[f"{part}/{name}.{target}"] == pytest.approx(expected)
    assert (told.summary["status"], told.summary["epochs/best"]) == ("finished", result.epochs.best)
    assert told.summary["protocol/label_source"] == "values"
    assert told.config["data/targets"] == [*TARGETS]
    assert len(told.column("val/ccc")) == len(told.column("val/ccc.valence")) == 2
    assert max(told.column("val/ccc")) == pytest.approx(told.summary["val/ccc"], abs=1e-6)
    assert not [key for key in told.summary if "recall" in key or "uar" in key or "ece" in key]
    charts = told.config["_wandb"]["visualize"]
    assert {name for name in charts if "/scatter" in name} == {f"test/scatter.{target}" for target in TARGETS}
    panel = charts["test/scatter.valence"]["panel_config"]
    assert panel["panelDefId"] == "wandb/scatter/v0"
    assert panel["fieldSettings"] == {"x": "true.valence", "y": "predicted.valence"}
    predictions = table(run, told.column("test/predictions")[0])
    header, *rows = [line.split(",") for line in run.predictions.read_text().splitlines()]
    assert predictions["columns"] == header and len(predictions["data"]) == len(rows) == result.protocol.n_test
    assert predictions["data"][0][:2] == rows[0][:2]
    assert predictions["data"][0][2:] == pytest.approx([*map(float, rows[0][2:])])
    assert told.column("figures/scatter") and told.column("figures/curves") and not told.column("figures/confusion")
