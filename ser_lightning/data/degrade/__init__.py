"""Provide acoustic conditions to test a clip under: noise, a line, levels, rooms, silence, a short stretch.

They test a model, and are no part of any training. Importing this takes a second, for SciPy's filters.
"""

from ser_lightning.data.degrade.catalogue import CONDITIONS, GROUPS
from ser_lightning.data.degrade.condition import Change, Condition

__all__ = ["CONDITIONS", "GROUPS", "Change", "Condition"]
