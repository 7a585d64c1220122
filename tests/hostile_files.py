"""Checkpoints and run directories as an attacker would send them: each asks for code, or claims what is not there.

What they would run leaves a file behind, ``canary``, so that a test can see whether it ran.
"""

import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml

Content = dict[str, Any]


def code_of(canary: Path) -> list[Content]:
    """Descriptions that would create ``canary``, were they made."""
    touch = f"touch {canary}"
    return [
        {"_target_": "os.system", "command": touch},
        {"_target_": "torch.utils.collect_env.run", "command": touch},
        {"_target_": "subprocess.Popen", "args": ["touch", str(canary)]},
        {"_target_": "builtins.open", "file": str(canary), "mode": "w"},
        {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": [str(canary)]}]},
        {"_target_": "ser_lightning.utils.files.written_whole", "path": str(canary)},
        {"_target_": "ser_lightning.models.nets.cnn.functional.os.system", "command": touch},
        {"_target_": "torch.optim.optimizer.torch.save", "obj": 1, "f": str(canary)},
        {"_target_": "hydra.utils.call", "config": {"_target_": "os.system", "command": touch}},
        {"_target_": 7},
        {"_target_": ["os.system"]},
    ]


PLACES = (  # in a config where a description is made into an object
    "data",
    "data.splits.actors5",
    "model",
    "model.frontend",
    "model.net",
    "model.augment.features.mask",
    "model.optimizer",
    "model.scheduler",
    "callbacks.early_stopping",
    "logger.wandb",
    "trainer",
    "trainer.plugins",
)


def put(config: Content, place: str, value: Any) -> Content:
    """A copy of a config with ``value`` at a dotted place."""
    config = deepcopy(config)
    *above, last = place.split(".")
    inner = config
    for name in above:
        inner[name] = dict(inner.get(name) or {})
        inner = inner[name]
    inner[last] = value
    return config


def hostile_configs(config: Content, canary: Path) -> Iterator[tuple[str, Content]]:
    """Configs of runs: every kind of code in every place, and interpolations."""
    for place in PLACES:
        for number, code in enumerate(code_of(canary)):
            yield f"{place}-{number}", put(config, place, code)
    yield "nested", put(config, "data.splits.actors5.folds", [[code_of(canary)[0]]])
    yield "environment", put(config, "data.root", "${oc.env:HOME}")
    yield "resolver", put(config, "model.name", "${run_directory:/etc,/etc}")
    deep: Content = {}
    for _ in range(40):
        deep = {"a": deep}
    yield "deep", put(config, "data.deep", deep)


_STAMP = "ser_lightning"
_CHANGES: dict[str, Callable[[Content], Any]] = {  # of a checkpoint's stamp, each to what it cannot be
    "no_config": lambda stamp: stamp.pop("config"),
    "no_labels": lambda stamp: stamp.pop("labels"),
    "no_model": lambda stamp: stamp["config"].pop("model"),
    "no_protocol": lambda stamp: stamp.pop("protocol"),
    "config_is_text": lambda stamp: stamp.update(config="os.system"),
    "labels_are_numbers": lambda stamp: stamp.update(labels=[0, 1, 2, 3, 4, 5]),
    "labels_repeat": lambda stamp: stamp.update(labels=["anger"] * 6),
    "one_label": lambda stamp: stamp.update(labels=["anger"]),
    "ten_thousand_labels": lambda stamp: stamp.update(labels=[f"l{i}" for i in range(10_000)]),
    "long_label": lambda stamp: stamp.update(labels=["a" * 5_000, "b", "c", "d", "e", "f"]),
    "markup": lambda stamp: stamp.update(labels=["<script>alert(1)</script>", "b", "c", "d", "e", "f"]),
    "newline": lambda stamp: stamp.update(labels=["a\nb", "b", "c", "d", "e", "f"]),
    "escape": lambda stamp: stamp.update(labels=["\x1b[31mred", "b", "c", "d", "e", "f"]),
    "temperature_0": lambda stamp: stamp.update(temperature=0.0),
    "temperature_nan": lambda stamp: stamp.update(temperature=float("nan")),
    "temperature_text": lambda stamp: stamp.update(temperature="hot"),
    "name_is_a_path": lambda stamp: stamp["config"]["model"].update(name="/tmp/TRAVERSED"),
    "name_climbs": lambda stamp: stamp["config"]["model"].update(name=".."),
    "corpus_is_a_path": lambda stamp: stamp["protocol"].update(corpus="../../TRAVERSED"),
    "rate": lambda stamp: stamp.update(sample_rate_hz=10**12),
    "high_rate": lambda stamp: stamp.update(sample_rate_hz=768_000),
    "rate_is_high": lambda stamp: (
        stamp.update(sample_rate_hz=192_000),
        stamp["config"]["model"]["frontend"].update(hop_samples=16),
    ),
    "heard_is_a_list": lambda stamp: stamp.update(heard=["x"]),
    "wide_frontend": lambda stamp: stamp["config"]["model"]["frontend"].update(n_fft=2**41),
    "large_frontend": lambda stamp: stamp["config"]["model"]["frontend"].update(n_fft=2**30, window_samples=1024),
    "busy_frontend": lambda stamp: stamp["config"]["model"]["frontend"].update(
        n_fft=65_536, window_samples=1024, hop_samples=1
    ),
    "many_mels": lambda stamp: stamp["config"]["model"]["frontend"].update(n_mels=2**24),
    "wide_net": lambda stamp: stamp["config"]["model"]["net"].update(n_hidden=2**40),
    "wider_net": lambda stamp: stamp["config"]["model"]["net"].update(n_hidden=60_000, channels=[60_000, 60_000]),
    "deep_net": lambda stamp: stamp["config"]["model"]["net"].update(channels=[8] * 100_000),
    "unknown_setting": lambda stamp: stamp["config"]["model"]["net"].update(nonsense=1),
    "no_target": lambda stamp: stamp["config"]["model"]["net"].pop("_target_"),
}


def hostile_checkpoints(good: Path, folder: Path, canary: Path) -> Iterator[tuple[str, Path]]:
    """Checkpoints made from a good one, by name; what is wrong is in its stamp, its weights or its file."""

    def written(name: str, content: Content) -> tuple[str, Path]:
        torch.save(content, folder / f"{name}.ckpt")
        return name, folder / f"{name}.ckpt"

    def fresh() -> Content:
        return torch.load(good, weights_only=True)

    for name, change in _CHANGES.items():
        content = fresh()
        change(content[_STAMP])
        yield written(name, content)
    for place in ("model.net", "model.frontend"):
        for number, code in enumerate(code_of(canary)):
            content = fresh()
            content[_STAMP]["config"] = put(content[_STAMP]["config"], place, code)
            yield written(f"{place}-{number}", content)
    content = fresh()
    first = next(name for name, tensor in content["state_dict"].items() if tensor.ndim > 1)
    yield written("stretched_weight", content | {"state_dict": {**content["state_dict"], first: _endless()}})
    one = torch.zeros(1_000_000)
    views = {f"net.{number}": one[number:] for number in range(1_000)}
    yield written("views_of_one", content | {"state_dict": {**content["state_dict"], **views}})
    yield written("weights_are_text", content | {"state_dict": "x"})
    yield written("epoch_is_text", content | {"epoch": "x"})
    path = folder / "compressed.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, zipfile.ZipFile(good) as before:
        for entry in before.namelist():
            archive.writestr(entry, before.read(entry))
        archive.writestr("best/data/999", bytes(300_000_000))
    yield "compressed", path
    yield "half", _cut(good, folder / "half.ckpt")
    (folder / "empty.ckpt").touch()
    yield "empty", folder / "empty.ckpt"


def _endless() -> torch.Tensor:
    return torch.zeros(1).expand(10**6, 10**6)


def _cut(good: Path, path: Path) -> Path:
    content = good.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def write_run(folder: Path, config: Content) -> Path:
    """A directory that looks like an interrupted run of ``config``; returns it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return folder
