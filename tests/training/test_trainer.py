"""A trainer that could not be made, or would train nothing, is refused before anything is prepared."""

import pytest
import torch
from conftest import config, names_in

from ser_lightning.runs.directory import RunDirectory
from ser_lightning.training.experiment import train, unsplit_data
from ser_lightning.training.trainer import _n_devices, check_callbacks, check_trainer
from ser_lightning.utils.errors import UserError


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.max_epochs=0", "trainer.max_epochs=0 is out of range: it must be a whole number, at least 1"),
        ("trainer.max_epochs=1.5", "a whole number"),
        ("trainer.limit_train_batches=0", "trainer.limit_train_batches=0 is out of range: .* above 0"),
        ("trainer.limit_test_batches=-1", "trainer.limit_test_batches=-1"),
        ("trainer.limit_train_batches=1.5", "this trainer cannot be made"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0"),
        ("trainer.devices=5000", r"trainer\.devices=5000: .*; ask for no more than that"),
        ("trainer.devices='5000'", r"trainer\.devices=5000: .*; ask for no more than that"),
        ("trainer.devices=0", "this trainer cannot be made"),
        ("trainer.accelerator=abacus", "this trainer cannot be made: .*abacus"),
        ("trainer.precision=7", "this trainer cannot be made"),
        (
            "trainer.precision=bf16-true",
            "bf16-true is not supported: use auto, 32-true, bf16-mixed, 16-mixed",
        ),
        ("+trainer.logger=true", "trainer.logger has no effect: use logger="),
        ("+trainer.val_check_interval=8", "trainer.val_check_interval=8 cannot be used, .*limit_train_batches"),
        ("trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn cannot be used, .*use trainer=ddp"),
        ("+trainer.max_steps=3", "trainer.max_steps=3 cannot be used, .*trainer.max_epochs"),
        ("+trainer.overfit_batches=2", "trainer.overfit_batches=2 cannot be used, .*trainer.limit_train_batches"),
        ("+trainer.epochs=3", "unexpected keyword argument 'epochs'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(override, said):
    with pytest.raises(UserError, match=said) as refused:
        check_trainer(config(override))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [name for name in names_in("trainer") if name != "gpu"])
def test_every_trainer_that_ships_is_taken(name):
    check_trainer(config(f"trainer={name}", "trainer.accelerator=cpu", "trainer.devices=1"))


def test_gpus_that_are_not_there_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(
        UserError, match=r"trainer\.accelerator=gpu: torch finds no GPU here; leave it at auto, or cpu"
    ):
        check_trainer(config("trainer=gpu"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"trainer\.devices=8: torch finds 2 here"):
        check_trainer(config("trainer=gpu", "trainer.devices=8"))


@pytest.mark.parametrize(
    ("asked", "n"), [("0,", 1), ("0,1", 2), (" 0, 1,", 2), ("3", 3), (2, 2), ([0, 1], 2), ("auto", 0), (-1, -1)]
)
def test_devices_are_counted_as_lightning_counts_them(asked, n):
    assert _n_devices(asked) == n


@pytest.mark.parametrize("seed", ["true", "-1", "1.5", "one"])
def test_a_seed_is_a_whole_number(tmp_path, seed):
    said = "is no number" if seed == "one" else "is out of range"
    domain = "it must be a whole number, at least 0 and at most 4,294,967,295"
    with pytest.raises(UserError, match=f"seed={'True' if seed == 'true' else seed} {said}: {domain}"):
        train(config(f"seed={seed}", "data.seed=0"), RunDirectory(tmp_path / "run"))


CHECKPOINT = "+callbacks.more={_target_: lightning.pytorch.callbacks.ModelCheckpoint, filename: NAME}"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("callbacks.best_checkpoint.filename=top", "what is tested is best.ckpt; leave it out"),
        ("callbacks.last_checkpoint.filename=/tmp/x/PWNED", "PWNED: what a run goes on from is last.ckpt"),
        ("callbacks.last_checkpoint.filename=null", "what a run goes on from is last.ckpt"),
        ("+callbacks.last_checkpoint.dirpath=/tmp/x", "last_checkpoint.dirpath=/tmp/x has no effect"),
        ("+callbacks.best_checkpoint.save_top_k=3", "save_top_k=3 cannot be used: best.ckpt is one complete file"),
        ("+callbacks.best_checkpoint.save_weights_only=true", "save_weights_only=True cannot be used"),
        ("+callbacks.last_checkpoint.every_n_train_steps=5", "every_n_train_steps=5 cannot be used: last.ckpt is"),
        (
            CHECKPOINT.replace("NAME", "../../ESC"),
            r"callbacks.more.filename=../../ESC cannot be used: .*without folders",
        ),
        (CHECKPOINT.replace("NAME", "/tmp/ESC"), "filename=/tmp/ESC cannot be used"),
        (CHECKPOINT.replace("NAME", "'{val/uar}'"), "cannot be used"),
        (CHECKPOINT.replace("NAME", "best"), "neither best nor last"),
        (
            "callbacks.early_stopping.patience=-1",
            "patience=-1 is out of range: it must be a whole number, at least 0",
        ),
        ("callbacks.last_checkpoint.every_n_epochs=0", "every_n_epochs=0 is out of range: .* at least 1"),
    ],
)
def test_a_callback_that_would_write_elsewhere_or_never_is_refused_in_a_line(override, said):
    with pytest.raises(UserError, match=said) as refused:
        check_callbacks(config(override).callbacks)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["{epoch}-{step}", "null"])
def test_a_third_checkpoint_has_a_name_of_its_own(name):
    check_callbacks(config(CHECKPOINT.replace("NAME", f"'{name}'" if "{" in name else name)).callbacks)


def test_a_models_name_is_no_path(tmp_path):
    with pytest.raises(UserError, match=r"model\.name=/tmp/x cannot be used: folders are called so"):
        train(config("model.name=/tmp/x"), RunDirectory(tmp_path / "run"))


def test_workers_are_no_more_than_a_machine_carries(cremad_root):
    cfg = config("data=cremad", f"data.root={cremad_root}", "data.num_workers=100000")
    with pytest.raises(UserError, match=r"data\.num_workers=100000 is out of range: .* at least 0 and at most"):
        unsplit_data(cfg)
