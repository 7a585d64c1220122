"""Checkpoints worth exporting: of networks that have learnt nothing, but say something."""

from pathlib import Path

import torch
from made_checkpoint import make_checkpoint_of

from ser_lightning.inference.checkpoint import read_checkpoint

TEMPERATURE = 0.05  # random weights hardly tell clips apart


def make_telling_checkpoint(path: Path, root: Path, *overrides: str) -> Path:
    """Write a checkpoint of CREMA-D, as `make_telling`."""
    return make_telling(path, "data=cremad", f"data.root={root}", *overrides)


def make_telling(path: Path, *overrides: str) -> Path:
    """Write a checkpoint whose norms and adapters are as after training, and whose answers are far from even."""
    make_checkpoint_of(path, "logger=none", *overrides)
    checkpoint = read_checkpoint(path)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in checkpoint.weights.items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.5, 0.5, generator=generator)
            bias = checkpoint.weights.get(name.replace("running_mean", "bias"))
            if bias is not None:
                bias.uniform_(-0.5, 0.5, generator=generator)
        if ".adapters." in name:  # of each pair one is 0 at first
            tensor.uniform_(-0.5, 0.5, generator=generator)
    checkpoint.write(path, temperature=TEMPERATURE)
    return path
