"""A checkpoint as a training leaves it, of a network that has learnt nothing."""

from pathlib import Path

import torch
from conftest import config

from ser_lightning.training.experiment import make_data, make_module, stamp

SMALL = ("model.net.channels=[8,16]", "model.frontend.n_mels=40", "logger=none")  # of a cnn


def make_checkpoint_of(path: Path, *overrides: str, seed: int = 0) -> Path:
    """Write the checkpoint of ``python train.py`` with these overrides, before its first step; returns ``path``."""
    cfg = config(*overrides)
    torch.manual_seed(seed)
    data = make_data(cfg)
    module = make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz)
    torch.save({"state_dict": module.state_dict(), "ser_lightning": stamp(cfg, data, module)}, path)
    return path
