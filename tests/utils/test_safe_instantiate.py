"""What a stranger sends runs nothing, claims nothing that is not there, and ends in a line."""

import json
import os
import re
import resource
import time
from datetime import date

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from conftest import ROOT, config
from hostile_files import hostile_checkpoints, hostile_configs, put, write_run
from made_checkpoint import SMALL
from omegaconf import OmegaConf

from ser_lightning import cli, load_model
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.experiment import make_data, make_module, train
from ser_lightning.training.job import _run_directory
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.safe_instantiate import check_description, make_part, with_current_names


def test_everything_that_shipped_configs_name_is_on_the_list():
    named = {
        (path.name, target)
        for path in (ROOT / "conf").rglob("*.yaml")
        if "hydra" not in path.parts
        for target in re.findall(r"_target_: ([\w.]+)", path.read_text())
    }
    assert len(named) > 30
    for name, target in sorted(named):
        if (name, target) != ("train.yaml", "ser_lightning.sweep.hydra_callback.Watch"):  # Hydra's own
            check_description({"_target_": target}, source=name, trust=False)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "ser_lightning.models.nets.cnn.nn.Linear",  # imported there, not of there
        "ser_lightning.models.nets.pretrained.cache_root",
        "ser_lightning.models.augment.Mapping",
        "ser_lightning.data.splits.rules.Path",
        "torch.optim.sys.exit",
        "torch.optim.lr_scheduler.Optimizer",
        "torch.hub.load",
        "ser_lightning.utils.files.replacing",
        "",
        "nonsense",
    ],
)
def test_what_is_not_on_the_list_is_named_and_not_made(target):
    with pytest.raises(UserError, match="which is not of this package"):
        make_part({"_target_": target}, source="the checkpoint", trust=False)


def test_trust_says_what_it_runs(caplog):
    made = make_part({"_target_": "collections.Counter"}, source="the checkpoint", trust=True)
    assert made == {} and "the checkpoint runs collections.Counter" in caplog.text


def test_a_run_directory_runs_nothing(tmp_path, cremad_root):
    canary = tmp_path / "canary"
    plain = OmegaConf.to_container(config("data=cremad", f"data.root={cremad_root}", *SMALL), resolve=True)
    plain.pop("trust")
    count, cfg = 0, config("resume=DIR")
    for name, hostile in hostile_configs(plain, canary):
        run = RunDirectory(write_run(tmp_path / name, hostile))
        with pytest.raises(UserError, match=r"asks to run|nested too deeply"):
            run.agree_on(cfg, ["resume=DIR"])
        assert not canary.exists(), name
        count += 1
    assert count > 100
    trusted = RunDirectory(write_run(tmp_path / "mine", put(plain, "model.net._target_", "my.Net")))
    cfg.trust = True
    assert trusted.agree_on(cfg, ["resume=DIR", "trust=true"]).model.net._target_ == "my.Net"
    assert (
        RunDirectory(write_run(tmp_path / "plain", plain)).agree_on(config(f"resume='{tmp_path / 'plain'}'"))
        == plain
    )


def test_a_checkpoint_runs_nothing_and_claims_nothing(tmp_path, checkpoint):
    canary, before = tmp_path / "canary", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest, count = 0.0, 0
    for name, path in hostile_checkpoints(checkpoint, tmp_path, canary):
        started = time.perf_counter()
        with pytest.raises(UserError) as error:
            load_model(path)
        slowest = max(slowest, time.perf_counter() - started)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600, name
        assert not canary.exists(), name
        count += 1
    assert count > 40 and slowest < 2
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 500_000


@pytest.mark.parametrize("command", ["predict", "eval", "calibrate", "export", "demo"])
def test_every_command_that_opens_one_says_so_in_a_line(tmp_path, checkpoint, command):
    canary, clip = tmp_path / "canary", tmp_path / "x.wav"
    soundfile.write(clip, np.full(8_000, 0.1), 16_000)
    content = torch.load(checkpoint, weights_only=True)
    stamp = content["ser_lightning"]
    code = {"_target_": "torch.utils.collect_env.run", "command": f"touch {canary}"}
    place = "data" if command in ("eval", "calibrate") else "model.net"
    stamp["config"] = put(stamp["config"], place, code)
    torch.save(content, tmp_path / "evil.ckpt")
    extra = {"predict": [str(clip)], "demo": ["--no-browser"]}.get(command, [])
    done = CliRunner().invoke(cli.main, [command, str(tmp_path / "evil.ckpt"), *extra])
    assert done.exit_code == 1
    if "needs" not in done.stderr:  # an extra that is not installed
        assert "asks to run torch.utils.collect_env.run" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not canary.exists()


def test_a_pretrained_models_description_is_data(tmp_path):
    pytest.importorskip("transformers", reason="pretrained models need the extra pretrained")
    from conftest import tiny_checkpoint

    from ser_lightning.models.pretrained.checkpoint import read_encoder, remake_encoder

    good = json.loads(read_encoder(str(tiny_checkpoint("whisper")))[1].architecture)
    assert remake_encoder("x", json.dumps(good))[1].family == "whisper"
    evil = (
        {"config": good["config"] | {"model_type": "bert"}},
        {"config": {"auto_map": {"AutoModel": "evil--x.Y"}, "model_type": "gpt2"}},
        {"config": "whisper"},
        {"preprocessor": {"n_fft": 2**30}},
        {"preprocessor": {"feature_size": "many"}},
        {"preprocessor": {"feature_size": 16_000, "n_fft": 16_000}},
        {"preprocessor": {"hop_length": 1, "n_fft": 16_000}},
        {"preprocessor": {"hop_length": 0}},
    )
    for change in evil:
        with pytest.raises(UserError, match="describes no pretrained model"):
            remake_encoder("x", json.dumps(good | change))
    for text in ("", "[]", "nonsense", "[" * 100_000):
        with pytest.raises(UserError, match="describes no pretrained model"):
            remake_encoder("x", text)
    named = good | {
        "config": good["config"] | {"auto_map": {"AutoModel": "evil--x.Y"}, "_attn_implementation": "a/b"}
    }
    assert not hasattr(remake_encoder("x", json.dumps(named))[0].model.config, "auto_map")


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    return tmp_path / "pipe.csv"


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
def test_pipes_and_devices_are_named_and_not_opened(tmp_path, pipe, cremad_root, kind):
    place = str(pipe) if kind == "pipe" else kind
    soundfile.write(tmp_path / "x.wav", np.full(8_000, 0.1), 16_000)
    with pytest.raises(UserError, match="is a pipe or a device"):
        load_model(place)
    done = CliRunner().invoke(cli.main, ["predict", place, str(tmp_path / "x.wav")])
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) == 1
    done = CliRunner().invoke(cli.main, ["data", "audit", "csv", f"data.manifest={place}"])
    assert done.exit_code == 1 and "is a pipe or a device" in done.stderr
    on_real = ["data=cremad", f"data.root={cremad_root}"]
    for overrides in (
        ["data=csv", f"data.manifest={place}"],
        [*on_real, "data.split=file", f"data.splits.file.path={place}"],
        [*on_real, f"data.votes={place}"],
    ):
        with pytest.raises(UserError, match=r"is a pipe or a device"):
            make_data(config(*overrides))


def test_a_run_directory_with_a_pipe_is_not_gone_on_with(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0")
    os.mkfifo(tmp_path / "train.log")
    with pytest.raises(SystemExit, match=r"train\.log is a pipe or a device, and no file of a run: remove it"):
        _run_directory(str(tmp_path), "fresh")


def test_lists_and_tables_have_a_size(tmp_path):
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(10**10)  # of zeros that are not on the disk
    with pytest.raises(UserError, match="larger than"):
        make_data(config("data=csv", f"data.manifest={tmp_path / 'large.csv'}"))


@pytest.mark.parametrize(
    "override",
    ["model.net.n_hidden=1000000000", "model.net.channels=[60000,60000]", "model.net.n_hidden=9999999999999"],
)
def test_a_network_that_fits_no_memory_is_refused_in_a_line(override):
    with pytest.raises(UserError, match=r"model\.net: this network takes .* GB or more to train"):
        make_module(config(override), task=Classification(("a", "b")), sample_rate_hz=16_000)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("data.root", date(2026, 1, 2), r"data\.root=2026-01-02 is a date, and must be a text or a number"),
        ("data.splits.kfold", {1: 2}, r"data\.splits\.kfold has the key 1, which is no text"),
        ("data", [1, 2], "data must be settings of its own"),
        ("logger", None, "logger must be settings of its own"),
        ("callbacks", None, "callbacks must be settings of its own"),
        ("model", None, "model must be settings of its own"),
        ("monitor", "val/uar", "monitor must be settings of its own"),
        ("callbacks.early_stopping", 3, r"callbacks\.early_stopping must be settings of its own, or null"),
        ("trainer", {}, r"trainer\._target_ is not there"),
        ("data.manifest", ["a"], "data.manifest"),
    ],
)
def test_a_config_of_another_form_is_told_by_its_key(tmp_path, place, value, said):
    plain = OmegaConf.to_container(config(*SMALL, "data=csv", "data.manifest=a.csv"), resolve=True)
    run = RunDirectory(write_run(tmp_path / "run", put(plain, place, value)))
    with pytest.raises(UserError, match=said) as refused:
        train(config(f"resume='{run.path}'"), run)
    assert "\n" not in str(refused.value)


def test_names_of_older_versions_are_those_of_today():
    old = {
        "data": {"_target_": "ser_lightning.data.make.one_corpus", "splits": [{"_target_": "other.make"}]},
        "callbacks": {"average": {"_target_": "ser_lightning.callbacks.AverageWeights", "epochs": 3}},
        "logger": {"_target_": "ser_lightning.tracking.wandb_logger"},
        "name": "ser_lightning.callbacks",
    }
    assert with_current_names(old) == {
        "data": {"_target_": "ser_lightning.data.factories.one_corpus", "splits": [{"_target_": "other.make"}]},
        "callbacks": {"average": {"_target_": "ser_lightning.training.callbacks.AverageWeights", "epochs": 3}},
        "logger": {"_target_": "ser_lightning.tracking.run.wandb_logger"},
        "name": "ser_lightning.callbacks",
    }
