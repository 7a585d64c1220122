"""The corpus and the network that docs/extending.md writes out work, and keep the contract of all others."""

import importlib.util
import inspect
import re

import numpy as np
import pytest
import soundfile
import torch
from conftest import ROOT

from ser_lightning.data import corpora
from ser_lightning.models import nets
from ser_lightning.models.layers.pooling import POOLINGS
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.compose import compose_config
from ser_lightning.training.experiment import make_data

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Install the example of a corpus or a network out of extending.md; return the override that makes it found."""

    def install(group: str, name: str, package) -> str:
        (tmp_path / "code").mkdir()
        (tmp_path / "conf" / group).mkdir(parents=True)
        codes = {language: code for language, code in _FENCE.findall(_part(name)) if language in ("python", "yaml")}
        (tmp_path / "code" / f"{name}.py").write_text(codes["python"])
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(codes["yaml"])
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "code")])
        return f"hydra.searchpath=[file://{tmp_path / 'conf'}]"

    return install


def _part(name: str) -> str:
    """The section of extending.md that holds the files of this name."""
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (part,) = [part for part in parts if f"`{name}.py`" in part]
    return part


def test_the_example_of_a_corpus_is_read_and_split(example, tmp_path):
    found = example("data", "emovo", corpora)
    (tmp_path / "audio" / "EMOVO").mkdir(parents=True)
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    codes = "rab dis pau gio neu tri sor".split()
    names = [f"{code}-{who}-b1.wav" for who in ("f1", "f2", "f3", "m1", "m2", "m3") for code in codes]
    for seed, name in enumerate(names):
        noise = np.random.default_rng(seed).uniform(-0.5, 0.5, 8_000)
        soundfile.write(tmp_path / "audio" / "EMOVO" / name, noise, 16_000)
    data = make_data(compose_config(found, "data=emovo", f"data.root={tmp_path / 'audio'}", "data.fold=1"))
    assert len(data.manifest) == 42
    assert data.task.outputs == labels
    assert {data.manifest[row].speaker for row in data.split.test} == {"f2"}
    assert {data.manifest[row].speaker for row in data.split.val} == {"f3"}
    tests = contract("data/test_corpus_contract.py")
    tests.test_a_corpus_is_called_as_its_file_and_its_labels_have_a_rule("emovo")
    tests.test_the_examples_of_a_corpus_say_what_they_should("emovo")
    tests.test_what_is_of_no_corpus_is_refused_with_an_example("emovo", "holiday_in_rome_1")
    parse = corpora.load_corpus("emovo").parse
    for name, reason in (
        ("xxx-f1-b1", "emotion code xxx"),
        ("rab-f4-b1", "speaker f4"),
        ("03a01Fa", "is not named like"),
    ):
        with pytest.raises(corpora.MisnamedFile, match=reason):
            parse(name)


def contract(path: str):
    """The tests that every corpus or network has to pass."""
    spec = importlib.util.spec_from_file_location("contract", ROOT / "tests" / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_example_of_a_network_keeps_the_contract(example, tmp_path, pooling):
    found = example("model", "tdnn", nets)
    tests = contract("models/test_contract.py")
    name = f"tdnn {found} model.net.pooling={pooling}"
    names = [each for each in vars(tests) if each.startswith("test_")]
    assert len(names) > 5
    for each in names if pooling == "attentive" else ["test_padding_does_not_change_the_answer"]:
        torch.manual_seed(0)
        check = getattr(tests, each)
        module = tests.make_module(
            tests.model_config(name), task=Classification(tests.LABELS), sample_rate_hz=tests.RATE_HZ
        )
        given = {"name": name, "module": module, "tmp_path": tmp_path}
        check(**{key: given[key] for key in inspect.signature(check).parameters})
