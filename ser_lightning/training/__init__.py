"""From a config to a finished run: process, trainer, callbacks, checkpoints, the test at the end.

A config comes in, a run directory comes out. Imports `sweep`, `tracking`, `report`,
`models` and below, never `inference`.
"""
