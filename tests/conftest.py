"""A tiny corpus in CREMA-D's layout, made of noise and tones; a cache of the tests' own; composed configs."""

import os
from copy import deepcopy
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run side by side
os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is looked for on the hub

import numpy as np
import pytest
import soundfile
from omegaconf import DictConfig
from tiny_checkpoints import make_checkpoint

import ser_lightning.training.job  # registers the resolvers that the configs use
from ser_lightning.data.corpora.cremad import EMOTIONS
from ser_lightning.training.compose import compose_config

ROOT = Path(__file__).resolve().parent.parent
SPEAKERS = ("1001", "1002", "1020", "1021", "1040", "1041", "1060", "1080")
assert ser_lightning.training.job


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Nothing is read from, or left in, the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("WANDB_MODE", raising=False)
        patch.delenv("WANDB_API_KEY", raising=False)
        yield


@pytest.fixture(autouse=True)
def _pictures_where_they_are_looked_at(request, monkeypatch):
    """Drawing takes longer than all else in a tiny run: it is left out but in tests marked ``pictures``.

    What `console.finish` calls is replaced, not `finish` itself: a module that is first imported in a test would
    keep the replacement.
    """
    if request.node.get_closest_marker("pictures") is None:
        for name in ("draw_figure", "draw_curves"):
            monkeypatch.setattr(f"ser_lightning.report.console.{name}", lambda *arguments, **words: None)


def make_clip(path: Path, *, seed: int, seconds: float = 0.4, rate_hz: int = 16_000) -> None:
    """A tone in noise whose pitch says which emotion the file's name gives."""
    random = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    code = path.stem.split("_")[2]
    pitch_hz = 200 * (2 + list(EMOTIONS).index(code)) if code in EMOTIONS else 440
    samples = 0.3 * np.sin(2 * np.pi * pitch_hz * t) + 0.05 * random.standard_normal(len(t))
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")


def make_cremad(root: Path, *, speakers=SPEAKERS, sentences=("DFA", "IEO")) -> Path:
    """A small corpus in CREMA-D's layout; returns ``root``."""
    folder = root / "AudioWAV"
    folder.mkdir(parents=True)
    names = [f"{who}_{what}_{code}_XX.wav" for who in speakers for what in sentences for code in EMOTIONS]
    for seed, name in enumerate(names):
        make_clip(folder / name, seed=seed, seconds=0.3 + 0.02 * (seed % 17))
    return root


@pytest.fixture(scope="session")
def cremad_root(tmp_path_factory) -> Path:
    """Eight speakers, two sentences, six emotions: 96 clips. Shared: do not write there."""
    return make_cremad(tmp_path_factory.mktemp("cremad"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, cremad_root) -> Path:
    """Of a small network that has learnt nothing. Shared: do not write there."""
    from made_checkpoint import SMALL, make_checkpoint_of

    overrides = ["data=cremad", f"data.root={cremad_root}", *SMALL]
    return make_checkpoint_of(tmp_path_factory.mktemp("checkpoint") / "best.ckpt", *overrides)


@pytest.fixture(scope="session")
def model(checkpoint):
    """What `load_model` makes of it."""
    from ser_lightning import load_model

    return load_model(checkpoint)


def config(*overrides: str) -> DictConfig:
    """What ``python train.py`` with these overrides would be given.

    A model that starts from a checkpoint, and is not told which, is given a tiny one.
    """
    cfg = deepcopy(_composed(overrides))
    if cfg.model.net.get("feature_set"):
        pytest.importorskip("opensmile", reason="model=opensmile needs the extra opensmile")
    if cfg.model.net.get("name", "") is None:
        cfg.model.net.name = str(tiny_checkpoint())
    return cfg


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """Composing takes a tenth of a second, and many tests ask for the same."""
    return compose_config(*overrides)


def tiny_checkpoint(family: str = "wav2vec2") -> Path:
    """The folder of a tiny pretrained model, made when first asked for. Shared: do not write there."""
    pytest.importorskip("transformers", reason="pretrained models need the extra pretrained")
    folder = Path(os.environ["SER_CACHE"]) / "checkpoints" / family
    return folder if folder.is_dir() else make_checkpoint(folder, family)


def names_in(group: str) -> list[str]:
    """The configs of a group that a person can choose."""
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if not path.stem.startswith("_"))
