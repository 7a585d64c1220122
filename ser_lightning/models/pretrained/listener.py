"""A pretrained model that listens, frozen or learning, and what is said of it in results and checkpoints.

B: clips.  T: samples of the longest clip.  L: layers, what goes into the first one counted as one.
F: frames of the longest clip.  H: width.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.errors import UserError
from ser_lightning.models.layers.masking import clear_padding
from ser_lightning.models.pretrained.checkpoint import read_encoder, remake_encoder


class Listener(nn.Module):
    """All layers of a pretrained model, each frame of each layer normalised to mean 0 and variance 1.

    Normalised, layers of very different scale can be averaged, and half precision holds the states of every model.

    Frozen, the model is no part of this module's weights, which hold its digest and refuse another model; it hears
    in 32 bits, whatever the rest is trained in. Else it is part of them.

    Args:
        name: a model on the hub, or the folder of one.
        frozen: whether it stays as it is.
        average_frames: how many neighbouring frames become one; the last of a clip may be of fewer.
        freeze_feature_encoder: of one that learns: its first convolutions do not.
        gradient_checkpointing: of one that learns: compute layers twice rather than keep them in memory.
        architecture: what `rebuild` said, where weights are about to be loaded; ``name`` is not read then.

    Raises: UserError where no such model can be had.
    """

    def __init__(
        self,
        *,
        name: str | None,
        frozen: bool,
        average_frames: int,
        freeze_feature_encoder: bool,
        gradient_checkpointing: bool,
        architecture: str | None,
    ):
        super().__init__()
        if average_frames < 1:
            raise UserError(f"model.net.average_frames={average_frames} is less than 1")
        encoder, self.source = remake_encoder(name, architecture) if architecture else read_encoder(name)
        self.n_layers = encoder.n_layers
        self.width = encoder.width
        self.average_frames = average_frames
        self._frozen = frozen
        if frozen:
            self.__dict__["encoder"] = encoder.eval().requires_grad_(False)  # at hand, but no part of this module
            return
        self.encoder = encoder.train()  # it is in eval mode when it was read
        if freeze_feature_encoder:
            encoder.freeze_feature_encoder()
        if gradient_checkpointing:
            encoder.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T), (B,) samples -> (B, L, F, H), (B,) frames."""
        if not self._frozen:
            return self._averaged(*self.encoder(waveform, lengths))
        with torch.no_grad(), torch.autocast(waveform.device.type, enabled=False):
            return self._averaged(*self.encoder(waveform, lengths))

    def frames(self, lengths: Tensor) -> Tensor:
        """F of clips of so many samples."""
        return -(-self.encoder.frames(lengths) // self.average_frames)

    def depth(self, parameter: str) -> int:
        """How many layers the parameter of that name lies up: 0 before the first, 1 in it, and so on."""
        return self.encoder.depth(parameter)

    def facts(self) -> dict[str, Any]:
        """What results say of it, as plain values."""
        return {
            "name": self.source.name,
            "family": self.source.family,
            "mode": "frozen" if self._frozen else "finetune",
            "digest": self.source.digest,
            "parameters": sum(parameter.numel() for parameter in self.encoder.parameters()),
        }

    def rebuild(self) -> dict[str, Any]:
        """What it is made of again when weights are loaded: a frozen one of where it lies, else all but those."""
        return {"name": self.source.place} if self._frozen else {"architecture": self.source.architecture}

    def get_extra_state(self) -> dict[str, str]:
        """What a checkpoint says beside the weights: which model this is, or began as."""
        return {"digest": self.source.digest}

    def set_extra_state(self, state: dict[str, str]) -> None:
        """Raises: UserError where a checkpoint was trained on another frozen model than this."""
        if not self._frozen:
            self.source = replace(self.source, digest=state["digest"])
        elif state["digest"] != self.source.digest:
            raise UserError(
                f"{self.source.name} is not the model that this checkpoint was trained on: "
                f"its digest is {self.source.digest}, not {state['digest']}"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Listener":
        if self._frozen:
            self.encoder._apply(fn, recurse)  # to the device
        return super()._apply(fn, recurse)

    def _averaged(self, states: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, F, H), (B,) -> (B, L, F / average_frames, H), (B,), normalised first."""
        states = functional.layer_norm(states, states.shape[-1:])
        n = self.average_frames
        if n == 1:
            return states, frames
        states = clear_padding(states.transpose(2, 3), frames)  # (B, L, H, F)
        states = functional.pad(states, (0, -states.shape[-1] % n)).unflatten(-1, (-1, n)).sum(-1)
        begin = n * torch.arange(states.shape[-1], device=frames.device)
        count = (frames[:, None] - begin).clamp(1, n)[:, None, :, None]  # (B, 1, F / n, 1)
        return states.transpose(2, 3) / count, -(-frames // n)
