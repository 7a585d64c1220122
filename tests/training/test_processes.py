"""Processes that were launched side by side: each a training of its own, or all of them parts of one."""

from types import SimpleNamespace

import pytest
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import OmegaConf

from ser_lightning.training.checkpoints import StayStopped
from ser_lightning.training.compose import compose_config
from ser_lightning.training.trainer import check_directory_is_shared, is_first_process, make_trainer
from ser_lightning.utils.errors import UserError

SRUN = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "2",
    "SLURM_NODEID": "0",
    "SLURM_JOB_NODELIST": "node1",
}
TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"} | {
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29511",
    "TORCHELASTIC_RUN_ID": "3",
}


@pytest.fixture(params=[SRUN, TORCHRUN], ids=["srun", "torchrun"])
def launched(request, monkeypatch):
    """Be the second process, or a later one, that something launched."""
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 1)


@pytest.mark.parametrize("devices", [1, "1", [0], "0,"])
def test_a_training_of_one_process_is_its_own(launched, devices):
    assert is_first_process(OmegaConf.create({"devices": devices}))
    assert rank_zero_only.rank == 0  # W&B and Lightning's logs go by it


@pytest.mark.parametrize("trainer", [{"devices": 2}, {"devices": "auto"}, {"devices": 1, "num_nodes": 2}])
def test_of_a_distributed_training_it_is_a_part(launched, trainer):
    assert not is_first_process(OmegaConf.create(trainer))


def test_the_parts_of_one_need_one_directory(launched):
    with pytest.raises(UserError, match=r"give them one, hydra\.run\.dir=DIR"):
        check_directory_is_shared(OmegaConf.create({"devices": 2}))
    check_directory_is_shared(OmegaConf.create({"devices": 1}))


@pytest.mark.parametrize(("error", "n_watched"), [(KeyboardInterrupt(), 0), (ValueError(), 1)])
def test_after_a_signal_the_first_is_not_killed_because_the_others_ended(error, n_watched):
    launcher = _SubprocessScriptLauncher(LightningEnvironment(), num_processes=2, num_nodes=1)
    other = object()
    launcher.procs = watched = [other]
    StayStopped().on_exception(SimpleNamespace(strategy=SimpleNamespace(launcher=launcher)), None, error)
    assert launcher.procs == [other]  # which Lightning ends
    assert len(watched) == n_watched


def test_one_task_of_slurm_starts_the_other_processes_itself(monkeypatch):
    for name, value in (SRUN | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}).items():
        monkeypatch.setenv(name, value)
    check_directory_is_shared(OmegaConf.create({"devices": 2}))
    trainer = make_trainer(
        compose_config("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"), logger=False
    )
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
    assert trainer.world_size == 2


def test_its_trainer_waits_for_no_others(launched):
    trainer = make_trainer(compose_config("trainer.accelerator=cpu"), logger=False)
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
    assert trainer.world_size == 1 and trainer.is_global_zero
