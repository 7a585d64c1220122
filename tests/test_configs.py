"""Every YAML that can be chosen composes, and what it names can be made."""

import pytest
from conftest import ROOT, config, names_in
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ser_lightning.training.compose import compose_config
from ser_lightning.training.experiment import make_data
from ser_lightning.training.trainer import make_trainer


@pytest.mark.parametrize("name", names_in("data"))
def test_every_corpus_can_be_chosen(name):
    cfg = config(f"data={name}")
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert cfg.data.split in cfg.data.splits
    rules = instantiate(cfg.data.splits)
    assert rules[cfg.data.split].speaker_independent
    assert not rules["random"].speaker_independent


@pytest.mark.parametrize("name", names_in("model"))
def test_the_loss_of_numbers_can_be_chosen_for_every_network(name):
    assert compose_config(f"model={name}").model.loss is None
    assert compose_config(f"model={name}", "model.loss=mse").model.loss == "mse"


@pytest.mark.parametrize("name", names_in("trainer"))
def test_every_trainer_can_be_chosen(name):
    cfg = config(f"trainer={name}")
    assert set(cfg.trainer) == set(config().trainer)
    if name != "gpu":
        cfg.trainer.update(accelerator="cpu", devices=1)
        make_trainer(cfg, logger=False)


@pytest.mark.parametrize("name", names_in("logger"))
def test_every_logger_can_be_chosen(name):
    OmegaConf.to_container(config(f"logger={name}"), resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("name", names_in("experiment"))
def test_every_experiment_can_be_chosen(name):
    OmegaConf.to_container(config(f"experiment={name}"), resolve=True, throw_on_missing=True)


def test_no_class_count_and_no_sample_rate_is_written_in_a_config():
    text = "".join(path.read_text() for path in (ROOT / "conf").rglob("*.yaml"))
    assert "n_classes" not in text
    assert "sample_rate" not in text


def test_synthetic_speech_is_made_once_and_called_synthetic(capsys):
    data = make_data(config())
    assert data.clips.synthetic
    assert len(data.manifest) == 720
    assert len(set(data.manifest.column("speaker"))) == 24
    assert data.clips.warnings() == {}
    assert min(row.duration_s for row in data.manifest) > 0.5


@pytest.mark.parametrize(("overrides", "pool"), [([], 1), (["data=cremad"], 1), (["data.pool_batches=4"], 4)])
@pytest.mark.parametrize("model", ["cnn", "pretrained"])
def test_batches_are_at_random_unless_told(model, overrides, pool):
    assert compose_config(f"model={model}", *overrides).data.pool_batches == pool
