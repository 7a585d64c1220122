"""The sweepers by names that Hydra accepts: it makes plugins from packages within `hydra_plugins` alone.

This folder has no ``__init__.py``: `hydra_plugins` is a namespace package that other distributions share.
"""

from ser_lightning.sweep import sweepers


class Grid(sweepers.Grid):
    """Run every combination of the values that were given."""


class Search(sweepers.Search):
    """Search with Optuna."""
