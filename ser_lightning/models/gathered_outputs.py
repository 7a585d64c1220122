"""Collect a model's outputs for every clip of a subset, from all processes."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Outputs(Metric):
    """Collects (B,) rows and (B, K) logits; `gathered` returns them for all clips, in the order of their rows."""

    full_state_update = False
    rows: list[Tensor]
    logits: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")
        self.add_state("logits", [], dist_reduce_fx="cat")

    def update(self, rows: Tensor, logits: Tensor) -> None:
        """Add a batch."""
        self.rows.append(rows)
        self.logits.append(logits.float())

    def gathered(self) -> tuple[Tensor, Tensor]:
        """Return rows (N,) int64 and logits (N, K) float32, of all processes."""
        rows, logits = self.compute()
        return rows.reshape(-1), logits.reshape(rows.numel(), -1)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return rows and logits in the order of the rows; of a single number torchmetrics makes a scalar."""
        rows = dim_zero_cat(self.rows)
        order = torch.argsort(rows)
        return rows[order], dim_zero_cat(self.logits)[order]
