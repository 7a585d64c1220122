"""Names of jobs: readable, safe as directories, and never one for two."""

import sys

import pytest
from conftest import config
from omegaconf import OmegaConf

from ser_lightning.sweep import extras_check, resolvers
from ser_lightning.sweep.resolvers import job_name


def test_a_job_is_called_by_what_was_asked_for():
    assert job_name(["model=cnn", "data.fold=3", "seed=0"]) == "model=cnn,data.fold=3,seed=0"
    assert job_name(["model.net.channels=[8,16]", "~callbacks.early_stopping"]).startswith(
        "model.net.channels=[8,16]"
    )


def test_where_things_lie_is_no_part_of_a_name_unless_it_varies():
    places = ["data.root=/far/away", "+data.roots.cremad=/x", "logger=none", "hydra.sweep.dir=x"]
    assert job_name(["data=cremad", *places]) == "data=cremad"
    assert job_name(places) == job_name([]) == "job"
    assert job_name(["data=cremad", *places], ["data.root"]).startswith("data=cremad,data.root=_far_away-")
    assert job_name(places, ["logger", "data.roots.cremad"]).startswith("+data.roots.cremad=_x,logger=none-")


def test_a_long_name_keeps_what_varies_whole():
    constant = [f"model.net.units=[{','.join(map(str, range(100)))}]", "data=cremad"]
    made = job_name([*constant, "data.fold=3", "seed=1"], ["seed", "data.fold"])
    assert made.startswith("fold=3,seed=1-")
    keys = ["model.optimizer.lr", "model.augment.features.mask.p", "model.augment.mixup.p", "data.label_smoothing"]
    made = job_name([f"{key}=0.12345678901234567" for key in keys] + constant, keys)
    assert made.startswith("lr=0.12345678901234567,mask.p=0.12345678901234567,mixup.p=0.1234567")


def test_long_values_keep_both_their_ends():
    roots = [f"data.root=/data/{'very/' * 40}{end}" for end in ("first/corpus", "other/corpus")]
    one, other = (job_name([root, "seed=0"], ["data.root", "seed"]) for root in roots)
    assert one.startswith("root=_data_very") and "_first_corpus,seed=0-" in one
    assert "_other_corpus,seed=0-" in other


def test_what_varies_is_read_off_the_sweep():
    hydra = OmegaConf.create(
        {"overrides": {"task": ["seed=0,1", "data=cremad", "lr=interval(1, 2)", "+x=range(3)"]}}
    )
    hydra.sweeper = {"params": {"model.net.n": "1,2"}}
    assert resolvers.varying_keys(hydra) == ["lr", "model.net.n", "seed", "x"]
    hydra.sweeper = {"params": None}
    assert resolvers.varying_keys(hydra) == ["lr", "seed", "x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["model.net.name=a/b"], ["model.net.name=a_b"]),
        (["x=" + "1" * 300], ["x=" + "1" * 301]),
        (["x=../../etc"], ["x=.._.._etc"]),
        (["x='a b'"], ["x='a  b'"]),
        (["x=" + "語" * 300], ["x=" + "語" * 301]),
        ([f"x{n}=1" for n in range(50)], [f"x{n}=1" for n in range(51)]),
    ],
)
def test_strange_and_long_names_are_made_safe_and_stay_apart(one, other):
    made = job_name(one), job_name(other)
    assert made[0] != made[1]
    for name in made:
        assert "/" not in name and " " not in name
        assert len(name.encode()) < 140
        assert not name.startswith(".")


def test_a_machine_without_gpus_gives_each_job_a_core(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert (resolvers.gpus_each(), resolvers.cores_each()) == (0, 1)


def test_with_gpus_each_job_has_one_and_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr(resolvers, "usable_cores", lambda: 18)
    assert (resolvers.gpus_each(), resolvers.cores_each()) == (1, 4)


def test_a_launcher_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setattr(extras_check, "find_spec", lambda name: None)
    extras_check.check(["model=cnn", "hydra/launcher=basic"])
    with pytest.raises(SystemExit, match=r"hydra/launcher=slurm needs more packages: pip install .*\[sweep\]"):
        extras_check.check(["-m", "hydra/launcher=slurm"])


def test_every_preset_is_known_to_need_its_package():
    presets = {f"hydra/{kind}={name}" for kind in ("launcher", "sweeper") for name in _names(f"hydra/{kind}")}
    assert presets - set(extras_check._PACKAGES) == {"hydra/sweeper=grid"}


def _names(group):
    from ser_lightning.training.compose import config_names

    return config_names(group)


def test_the_benchmark_is_every_network_that_learns_from_scratch():
    from ser_lightning.training.compose import CONF, config_names

    text = (CONF / "experiment" / "benchmark.yaml").read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("model:"))
    chosen = line.split(":")[1].strip().split(",")
    others = {"pretrained", "opensmile"}  # which need a folder, and a package with a licence of its own
    known = [name for name in config_names("model") if name not in others and not name.startswith("notebook_")]
    assert sorted(chosen) == sorted(known)
    assert "torch" in sys.modules and config("experiment=benchmark").model.name == "cnn"


def test_numbers_that_a_search_draws_are_rounded_in_a_long_name():
    drawn = {
        "model.optimizer.lr": "0.0005939321535345923",
        "model.optimizer.weight_decay": "4.4225442259978466e-05",
        "model.label_smoothing": "0.12055267521432877",
        "model.augment.features.mask.p": "0.5448831829968969",
        "model.augment.mixup.p": "0.4236547993389047",
    }
    name = job_name([f"{key}={value}" for key, value in drawn.items()])
    rounded = "lr=0.0005939,weight_decay=4.423e-05,label_smoothing=0.1206,mask.p=0.5449,mixup.p=0.4237-"
    assert name.startswith(rounded)
