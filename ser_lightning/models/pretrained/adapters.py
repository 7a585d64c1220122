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
    check("model.net.", integer=True, at_least=1, lora_rank=rank)
    check("model.net.", above=0, lora_alpha=alpha)
    check("model.net.", at_least=0, below=1, lora_dropout=dropout)
    chosen = list(_TARGETS.get(family, _OTHER_TARGETS) if targets is None else targets)
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
        target_modules=chosen,
    )
    try:
        peft.inject_adapter_in_model(settings, model)
    except ValueError as error:
        raise UserError(f"model.net.lora_targets={chosen} is not among this model's layers ({error})") from error
    for module in model.modules():
        if isinstance(module, peft.tuners.tuners_utils.BaseTunerLayer):
            module.cast_input_dtype_enabled = False  # autocast does that, and back again would be another pass
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to the weights that it adapts, and leave plain layers behind."""
    for name, module in list(model.named_modules()):
        if hasattr(module, "lora_A"):
            module.merge(safe_merge=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
