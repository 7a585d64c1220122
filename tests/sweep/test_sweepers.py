"""The sweeper over all combinations: which jobs it gives the launcher, and in which batches."""

import re
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf import OmegaConf

from ser_lightning.sweep import sweepers


class Launcher:
    """Keeps what it is given."""

    def __init__(self):
        self.batches = []

    def launch(self, jobs, initial_job_idx):
        self.batches.append((initial_job_idx, [",".join(job) for job in jobs]))
        return [JobReturn(status=JobStatus.COMPLETED) for _ in jobs]


def grid(tmp_path, monkeypatch, **settings):
    launcher = Launcher()
    monkeypatch.setattr(Plugins, "instantiate_launcher", lambda *arguments: launcher)
    hydra = {"sweep": {"dir": str(tmp_path)}, "overrides": {"task": []}, "sweeper": {}}
    loader = SimpleNamespace(
        load_sweep_config=lambda *arguments: None,
        get_group_options=lambda *arguments, **options: [],
    )
    sweeper = sweepers.Grid(**settings)
    sweeper.setup(
        hydra_context=SimpleNamespace(config_loader=loader),
        task_function=None,
        config=OmegaConf.create({"hydra": hydra}),
    )
    return sweeper, launcher


def test_every_combination_is_a_job_and_batches_are_as_large_as_asked(tmp_path, monkeypatch):
    sweeper, launcher = grid(
        tmp_path, monkeypatch, max_batch_size=4, params=OmegaConf.create({"a": "7,8", "b": "x"})
    )
    done = sweeper.sweep(["a=range(3)", "c=choice(u,v)"])
    jobs = [f"a={a},b=x,c={c}" for a in range(3) for c in "uv"]
    assert launcher.batches == [(0, jobs[:4]), (4, jobs[4:])]
    assert [len(batch) for batch in done] == [4, 2]
    assert (tmp_path / "multirun.yaml").is_file()


def test_an_interval_is_refused_with_what_takes_one(tmp_path, monkeypatch):
    sweeper, launcher = grid(tmp_path, monkeypatch)
    with pytest.raises(HydraException, match=r"lr=interval\(0,1\) is no list of values: hydra/sweeper=search"):
        sweeper.sweep(["lr=interval(0,1)"])
    assert launcher.batches == []


def test_each_corpus_trains_and_every_other_one_is_tested(tmp_path, monkeypatch):
    params = OmegaConf.create({"data.corpora": "[x,y]", "data.test_corpus": None, "model": "cnn"})
    sweeper, launcher = grid(tmp_path, monkeypatch, params=params, cross_corpora=True)
    sweeper.sweep(["data.corpora=[a,b,'my list.csv']", "seed=0,1"])
    (_, jobs), *_ = launcher.batches
    names = ("a", "b", "'my list.csv'")
    assert jobs == [
        f"data.corpora=[{trained}],data.test_corpus={tested},model=cnn,seed={seed}"
        for trained in names
        for tested in names
        if trained != tested
        for seed in (0, 1)
    ]
    with pytest.raises(HydraException, match="needs two corpora at least"):
        sweeper.sweep(["data.corpora=[a]"])


@pytest.mark.parametrize(("targets", "kept"), [(None, ["lr", "label_smoothing"]), (["arousal"], ["lr"])])
def test_a_search_is_over_what_the_model_and_the_task_have(caplog, targets, kept):
    caplog.set_level("INFO")
    params = {f"model.{name}": "interval(0, 1)" for name in ("lr", "label_smoothing", "mixup")}
    config = {"model": {"lr": 0.1, "label_smoothing": 0.05}, "data": {"targets": targets}}
    sweepers._leave_out_what_does_nothing(params, OmegaConf.create(config))
    assert list(params) == [f"model.{name}" for name in kept]
    assert "not searched: model.mixup, which this model does not have" in caplog.messages
    assert (
        "not searched: model.label_smoothing, which has no effect with data.targets" in caplog.messages
    ) is bool(targets)


@pytest.mark.parametrize("other", ["b/my.csv", "My.csv"])
def test_lists_that_results_could_not_tell_apart_are_refused_before_the_first_job(other):
    parsed = OverridesParser.create().parse_overrides([f"data.corpora=[a/my.csv,{other},cremad]"])
    told = f"a/my.csv, {other}: results are told apart by a list's file name"
    with pytest.raises(HydraException, match=re.escape(told)):
        sweepers._pairs_of_corpora({override.get_key_element(): override for override in parsed})
