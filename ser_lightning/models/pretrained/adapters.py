"""Low-rank adapters inside a frozen model, by the library peft.

Hu et al., 2021 (arXiv 2106.09685).
"""

from collections.abc import Sequence
from typing import cast

from torch import nn

from ser_lightning.utils.errors import UserError, check

# Linear layers of each Transformer layer. WavLM's attention reads the weights of its own, past any adapter.
_TARGETS = {
    "whisper": ("q_proj", "v_proj", "fc1", "fc2"),
    "wavlm": ("intermediate_dense", "output_dense"),
}
_OTHER_TARGETS = ("q_proj", "v_proj", "intermediate_dense", "output_dense")


def add_adapters(
    model: nn.Module, *, family: str, rank: int, alpha: float, dropout: float, targets: Sequence[str] | None
) -> dict[str, nn.Parameter]:
    """Put adapters into ``model``, whose own weights stay as they are; returns the adapters' parameters by name.

    Args:
        rank: of each adapter's product of two matrices.
        alpha: the product is scaled by alpha / rank.
        dropout: of what goes into an adapter.
        targets: ends of the names of the linear layers that get one; None for those usual in the family.

    Raises: UserError where peft is not installed, and for targets that no layer has.
    """
    chosen = _TARGETS.get(family, _OTHER_TARGETS) if targets is None else targets
    most = min(min(layer.weight.shape) for layer in _adapted(model, family, chosen))
    check("model.net.", integer=True, at_least=1, at_most=most, lora_rank=rank)
    check("model.net.", above=0, lora_alpha=alpha)
    check("model.net.", at_least=0, below=1, lora_dropout=dropout)
    try:
        import peft
    except ImportError:
        raise UserError(
            "model.net.mode=lora needs peft: pip install -c constraints.txt -e '.[pretrained]'"
        ) from None
    settings = peft.LoraConfig(
        r=rank,
        lora_alpha=cast(int, alpha),  # any number does
        lora_dropout=dropout,
        target_modules=list(chosen),
    )
    peft.inject_adapter_in_model(settings, model)
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):  # autocast does that, and back again is another pass
            setattr(module, "cast_input_dtype_enabled", False)  # noqa: B010  no module of torch has it
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _adapted(model: nn.Module, family: str, targets: Sequence[str]) -> list[nn.Linear]:
    """Return the linear layers whose names end so. Raises: UserError where a target is none of them."""
    if isinstance(targets, str) or not targets or not all(isinstance(target, str) for target in targets):
        raise UserError(
            f"model.net.lora_targets={targets} cannot be used: it is a list of layers, as [q_proj,v_proj]"
        )
    layers = {
        f".{name}": layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and not (family == "wavlm" and "attention." in name)
    }
    ending = {
        target: [layer for name, layer in layers.items() if name.endswith(f".{target}")] for target in targets
    }
    absent = [target for target in targets if not ending[target]]
    if absent:
        known = sorted({name.rpartition(".")[2] for name in layers})
        raise UserError(
            f"model.net.lora_targets={list(targets)} is not among this model's layers: {', '.join(absent)} is none "
            f"of the linear ones that can be adapted, {', '.join(known)}"
        )
    return [layer for of_target in ending.values() for layer in of_target]


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to the weights that it adapts, and leave plain layers behind."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "lora_A"):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
