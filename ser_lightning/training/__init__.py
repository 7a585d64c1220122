"""From a config to a finished run: process, trainer, callbacks, checkpoints, the test at the end.

A config comes in, a run directory comes out. Imports `sweep`, `tracking`, `report`,
`models` and below, never `inference`.
"""

from ser_lightning.utils.lean_imports import keep_torchmetrics_lean

keep_torchmetrics_lean()  # here, before anything imports Lightning: whoever predicts alone has nothing changed
