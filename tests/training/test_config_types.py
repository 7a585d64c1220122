"""Values that a constructor does not take are refused before anything is prepared, by the setting's name."""

import pytest
from conftest import config, names_in
from omegaconf import OmegaConf

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.config_types import check_types
from ser_lightning.training.experiment import train
from ser_lightning.utils.errors import UserError


@pytest.mark.parametrize("name", names_in("model"))
def test_what_is_shipped_is_taken(name):
    cfg = config(f"model={name}")
    for part in ("model", "data"):
        check_types(OmegaConf.to_container(cfg[part], resolve=True), part)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "callbacks=null",
            "callbacks must be settings of its own",
        ),
        ("data.split=null", "data.split=None must be the name of one split"),
        ("seed=[1,2]", r"seed=\[1, 2\] cannot be used: several are for a sweep, as in -m seed=0,1"),
        ("model.optimizer=null", "model.scheduler.max_lr takes its value from a setting that is null or not there"),
        (
            "model.augment.mixup=nul",
            "model.augment.mixup=nul cannot be used: it must be settings of its own or null",
        ),
        ("model.augment.features.mask=nul", "model.augment.features.mask=nul cannot be used"),
        ("model.augment.mixup.alpha=x", "model.augment.mixup.alpha=x cannot be used: it must be a number"),
        ("model.net.channels=[a]", r"model.net.channels=\['a'\] .* a list, each item a whole number"),
        ("model.optimizer.weight_decay=x", "model.optimizer.weight_decay=x cannot be used: it must be a number"),
        ("model.scheduler=nul", "model.scheduler=nul cannot be used: it must be settings of its own or null"),
        ("+model.net.chanels=3", "takes no chanels: did you mean channels"),
        ("callbacks.early_stopping.patience=x", "early_stopping.patience=x .* a whole number"),
        ("callbacks.early_stopping=no_thanks", "callbacks.early_stopping=no_thanks cannot be used"),
        ("data.splits.kfold.n_folds=x", "data.splits.kfold.n_folds=x cannot be used: it must be a whole number"),
        ("model.augment.mixup.alpha=-1", "alpha=-1"),
    ],
)
def test_a_mistyped_value_is_named_before_data_are_prepared(tmp_path, monkeypatch, override, said):
    monkeypatch.setattr("ser_lightning.training.experiment.make_data", lambda _: pytest.fail("data were prepared"))
    with pytest.raises(UserError, match=said) as raised:
        train(config(override), RunDirectory(tmp_path / "run"))
    assert "\n" not in str(raised.value)
