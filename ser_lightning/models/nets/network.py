"""Define what the framework asks of a network beside its `forward`: optional hooks, each with a default.

A network is any `nn.Module` with ``forward(features, lengths) -> logits``. One that needs more derives from
`Network` and overrides what it needs, or has a method of the same name: the rest is as here.

B: clips of a batch.  T: samples.  M: mel bins.  F: frames.  K: classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ser_lightning.data.labelled_clips import LabelledClips


class Network(nn.Module):
    """Base class of a network, with the default of every hook."""

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map features (B, M, F) and lengths (B,) in frames to logits (B, K)."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]] | None:
        """Return the parameters in groups with learning rates of their own; called when the optimiser is made.

        Each is ``{"params": [...], "lr_scale": share}``, its learning rate being that share of the configured one.
        None is one group of all parameters.
        """
        return None

    def cache_features(
        self,
        make: Callable[[list[int]], tuple[Tensor, Tensor]],
        *,
        rows: Sequence[int],
        hashes: Sequence[str],
        n_samples: Sequence[int],
    ) -> bool:
        """Compute once what is always the same for a clip; called on the device, before training or a test.

        Args:
            make: turns rows of clips into the arguments of `forward`.
            rows: of the clips that will come.
            hashes, n_samples: of every row: the hash of its sound, and its length.

        Returns: whether that was done. If so, `forward_cached` replaces `forward` for these clips, and there is
            nothing for augmentation to change.
        """
        return False

    def fit_cached(self, rows: Sequence[int]) -> None:
        """Fit what cached features are standardised by to the training clips, at these rows."""

    def forward_cached(self, index: Tensor) -> Tensor:
        """Map rows (B,) of clips to logits (B, K); called after `cache_features` returned True."""
        raise NotImplementedError

    def description(self) -> dict[str, Any]:
        """Return what result.json says of the network beside name and number of parameters, as plain values."""
        return {}

    def checkpoint_arguments(self) -> dict[str, Any]:
        """Return constructor arguments that replace those of the config in checkpoints; called once it is made.

        For a network that was made from files which need not be there when a checkpoint is loaded.
        """
        return {}

    @property
    def can_be_averaged(self) -> bool:
        """Return whether callbacks.average_weights may keep an average of the weights, in as much memory again."""
        return True

    @property
    def contamination(self) -> str | None:
        """Return a sentence for results where pretraining may have included clips of the test; None where not."""
        return None


_DEFAULTS = Network()


def hook(net: nn.Module, name: str) -> Any:
    """Return a network's hook of that name, or the default of `Network` where a plain module has none."""
    return getattr(net, name, getattr(_DEFAULTS, name))


def cached_forward(
    net: nn.Module,
    frontend: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    clips: LabelledClips,
    rows: Sequence[int],
    *,
    device: torch.device,
) -> Callable[[Tensor], Tensor] | None:
    """Let a network cache features of clips, or of their pieces; return its `forward_cached`, or None."""

    def features(batch: list[int]) -> tuple[Tensor, Tensor]:
        waveform, lengths = (torch.from_numpy(array).to(device) for array in clips.gather(batch))
        return frontend(waveform, lengths)

    n_samples = clips.pieces.n_samples.tolist()
    is_cached = hook(net, "cache_features")(features, rows=rows, hashes=clips.piece_hashes, n_samples=n_samples)
    return hook(net, "forward_cached") if is_cached else None
