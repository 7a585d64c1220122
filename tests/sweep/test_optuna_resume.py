"""What a search does with trials that were begun before."""

import warnings

import pytest
from omegaconf import OmegaConf

from ser_lightning.sweep.optuna_resume import resume_search
from ser_lightning.utils.errors import UserError


def test_an_interrupted_trial_is_tried_again_without_a_warning(tmp_path):
    optuna = pytest.importorskip("optuna")
    place = {"study_name": "search", "storage": f"sqlite:///{tmp_path}/study.db", "direction": "maximize"}
    study = optuna.create_study(**place)
    for value in (0.5, None):
        trial = study.ask()
        lr = trial.suggest_float("lr", 0, 1)
        if value is not None:
            study.tell(trial, value)
    sweeper = OmegaConf.create({**place, "n_trials": 4, "sampler": {"seed": 0}})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resume_search(sweeper)
    assert [str(each.message) for each in said if each.category is optuna.exceptions.ExperimentalWarning] == []
    assert sweeper.n_trials == 3
    assert optuna.load_study(study_name="search", storage=place["storage"]).ask().suggest_float("lr", 0, 1) == lr


def test_a_database_that_cannot_be_read_is_named(tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "study.db").write_text("no database")
    storage = f"sqlite:///{tmp_path}/study.db"
    sweeper = OmegaConf.create({"study_name": "search", "storage": storage, "direction": "maximize", "n_trials": 4})
    with pytest.raises(UserError, match=r"study\.db cannot be read .*in its own hydra\.sweep\.dir"):
        resume_search(sweeper)
