"""Keep transformers out of runs that do not use it.

torchmetrics, which Lightning imports, imports transformers for its metrics of text wherever that is installed: two
seconds at the start of every command.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _TorchmetricsWithoutTransformers(MetaPathFinder):
    """Just before torchmetrics is imported, have its check for transformers say that it is not there."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find nothing itself."""
        if fullname != "torchmetrics":
            return
        sys.meta_path.remove(self)
        from lightning_utilities.core.imports import RequirementCache

        check = RequirementCache._check_requirement

        def without_transformers(cache: RequirementCache) -> None:
            if str(cache.requirement).startswith("transformers"):
                cache.available, cache.message = False, "ser_lightning keeps transformers out of torchmetrics"
            else:
                check(cache)

        setattr(RequirementCache, "_check_requirement", without_transformers)  # noqa: B010  # mypy takes no other


def keep_transformers_out() -> None:
    """Have torchmetrics, once it is imported, do without transformers; nothing is imported here."""
    if "torchmetrics" not in sys.modules:
        sys.meta_path.insert(0, _TorchmetricsWithoutTransformers())
