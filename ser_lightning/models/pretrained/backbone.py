"""Use a pretrained model as the lower part of a network, frozen or trained, and describe it in results.

B: clips.  T: samples of the longest clip.  L: layers, what goes into the first one counted as one.
F: frames of the longest clip.  D: width.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.layers.masking import clear_padding
from ser_lightning.models.layers.single_column import correct_single_columns
from ser_lightning.models.pretrained.adapters import add_adapters, merge_adapters
from ser_lightning.models.pretrained.checkpoint import read_encoder, remake_encoder
from ser_lightning.models.pretrained.statistics import layer_statistics
from ser_lightning.models.pretrained.whisper import WhisperEncoder
from ser_lightning.utils.errors import UserError, check_choice

_FORMAT = 1  # of the cache: raised whenever the same clips would become other features

MODES = ("frozen", "lora", "finetune")


class Backbone(nn.Module):
    """All layers of a pretrained model, each frame of each layer normalised to mean 0 and variance 1.

    Normalised, layers of very different scale can be averaged, and half precision holds the states of every model.

    Unless it is fine-tuned, the model is no part of this module's weights, which hold its digest and refuse another
    model.

    Args:
        name: a model on the hub, or the folder of one.
        mode: "frozen", "lora" (adapters learn, and alone are weights of this module) or "finetune".
        context: of Whisper, one of `whisper.CONTEXTS`.
        statistics: return mean and standard deviation over each clip, (B, L, 1, 2D), in place of frames.
        average_frames: how many neighbouring frames become one; the last of a clip may be of fewer.
        adapters: arguments of `add_adapters`.
        freeze_feature_encoder: of one that is fine-tuned: its first convolutions do not learn.
        gradient_checkpointing: of one that learns: compute layers twice rather than keep them in memory.
        architecture: what `checkpoint_arguments` returned, where weights will be loaded; ``name`` is not read then.

    Raises: UserError where no such model can be had.
    """

    def __init__(
        self,
        *,
        name: str | None,
        mode: str,
        context: str,
        statistics: bool,
        average_frames: int,
        adapters: Mapping[str, Any],
        freeze_feature_encoder: bool,
        gradient_checkpointing: bool,
        architecture: str | None,
    ):
        super().__init__()
        check_choice("model.net.", MODES, mode=mode)
        if average_frames < 1:
            raise UserError(f"model.net.average_frames={average_frames} is less than 1")
        made = remake_encoder(name, architecture, context=context) if architecture else None
        encoder, self.source = made or read_encoder(name, context=context)
        self.n_layers = encoder.n_layers
        self.width = encoder.width * (2 if statistics else 1)
        self.average_frames = average_frames
        self._mode, self._statistics = mode, statistics
        if mode == "finetune":
            self.encoder = encoder.train()  # it is in eval mode when it was read
            if freeze_feature_encoder:
                encoder.freeze_feature_encoder()
        else:
            correct_single_columns(encoder)  # those of what is a part are corrected with the rest
            self.__dict__["encoder"] = encoder.eval().requires_grad_(False)  # at hand, but no part of this module
        if mode == "lora":
            added = add_adapters(encoder.model, family=self.source.family, **adapters)
            self._adapted = list(added)
            self.adapters = nn.ParameterList(added.values())
        if gradient_checkpointing and mode != "frozen":
            encoder.keep_no_activations()

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, T), (B,) samples to (B, L, F, D), (B,) frames."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self._mode != "frozen"):
            return self.reduced(*self.encoder(waveform, lengths))

    @property
    def cache_name(self) -> str:
        """Return a name made of everything that decides what `forward` returns, but the clip."""
        parts = [self.source.family, self.source.digest, str(_FORMAT), str(self.average_frames)]
        if isinstance(self.encoder, WhisperEncoder) and self.encoder.context != "window":
            parts.append(self.encoder.context)
        parts += ["statistics"] * self._statistics
        device = next(self.encoder.parameters()).device.type
        if torch.is_autocast_enabled(device):
            parts.append({torch.bfloat16: "bf16", torch.float16: "fp16"}[torch.get_autocast_dtype(device)])
        return "-".join(parts)

    def frames(self, lengths: Tensor) -> Tensor:
        """Return the number of frames of clips of so many samples."""
        if self._statistics:
            return torch.ones_like(lengths)
        return -(-self.encoder.frames(lengths) // self.average_frames)

    def train(self, mode: bool = True) -> "Backbone":
        """Set the mode, also of adapters: the model around them is no part of this one, and stays in eval mode."""
        if self._mode == "lora":
            for module in self.encoder.modules():
                if hasattr(module, "lora_dropout"):
                    module.train(mode)
        return super().train(mode)

    def merge_adapters(self) -> None:
        """Turn a model with adapters into a frozen one without, whose outputs are the same."""
        if self._mode == "lora":
            merge_adapters(self.encoder.model)
            self._mode, self._adapted, self.adapters = "frozen", [], nn.ParameterList()

    def depth(self, parameter: str) -> int:
        """Return the layer, from 1, that holds the parameter of that name; 0 for what lies before the first."""
        _, _, number = parameter.partition("adapters.")
        return self.encoder.depth(self._adapted[int(number)] if number else parameter)

    def description(self) -> dict[str, Any]:
        """Return the description of the model in results, as plain values."""
        return {
            "name": self.source.name,
            "family": self.source.family,
            "mode": self._mode,
            "digest": self.source.digest,
            "parameters": sum(parameter.numel() for parameter in self.encoder.parameters()),
        }

    def checkpoint_arguments(self) -> dict[str, Any]:
        """Return the arguments that make it before weights are loaded: its architecture, or its place if frozen."""
        return (
            {"architecture": self.source.architecture} if self._mode == "finetune" else {"name": self.source.place}
        )

    def get_extra_state(self) -> dict[str, str]:
        """Return what a checkpoint says beside the weights: which model this is, or began as."""
        return {"digest": self.source.digest}

    def set_extra_state(self, state: dict[str, str]) -> None:
        """Raise UserError where a checkpoint was trained on another frozen model than this."""
        if self._mode == "finetune":
            self.source = replace(self.source, digest=state["digest"])
        elif state["digest"] != self.source.digest:
            raise UserError(
                f"{self.source.name} is not the model that this checkpoint was trained on: "
                f"its digest is {self.source.digest}, not {state['digest']}"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Backbone":
        if self._mode != "finetune":
            self.encoder._apply(fn, recurse)  # to the device; adapters, which are in both, are moved once
        return super()._apply(fn, recurse)

    def reduced(self, states: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, L, F, D), (B,) to statistics (B, L, 1, 2D), or means of neighbouring frames; normalised first."""
        states = functional.layer_norm(states.float(), states.shape[-1:])
        if self._statistics:
            return layer_statistics(states, frames)[:, :, None], torch.ones_like(frames)
        n = self.average_frames
        if n == 1:
            return states, frames
        states = clear_padding(states.transpose(2, 3), frames)  # (B, L, D, F)
        states = functional.pad(states, (0, -states.shape[-1] % n)).unflatten(-1, (-1, n)).sum(-1)
        begin = n * torch.arange(states.shape[-1], device=frames.device)
        count = (frames[:, None] - begin).clamp(1, n)[:, None, :, None]  # (B, 1, F / n, 1)
        return states.transpose(2, 3) / count, -(-frames // n)
