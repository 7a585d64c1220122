"""Keep packages out of torchmetrics, which Lightning imports, for metrics that nobody asks for here.

Wherever they are installed it imports transformers, SciPy's signal processing and matplotlib: three seconds at the
start of every command.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

_KEPT_OUT = ("transformers", "scipy", "matplotlib")


class _LeanTorchmetrics(MetaPathFinder):
    """Just before torchmetrics is imported, have its checks for these packages say that they are not there."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        """Find nothing itself."""
        if fullname != "torchmetrics":
            return
        sys.meta_path.remove(self)
        from lightning_utilities.core import imports

        check, is_available = imports.RequirementCache._check_requirement, imports.package_available

        def lean_check(cache: imports.RequirementCache) -> None:
            if str(cache.requirement).startswith(_KEPT_OUT):
                cache.available, cache.message = False, "ser_lightning keeps it out of torchmetrics"
            else:
                check(cache)

        setattr(imports.RequirementCache, "_check_requirement", lean_check)  # noqa: B010  # mypy takes no other
        setattr(imports, "package_available", lambda name: name not in _KEPT_OUT and is_available(name))  # noqa: B010


def keep_torchmetrics_lean() -> None:
    """Have torchmetrics, once it is imported, do without them; nothing is imported here."""
    if "torchmetrics" not in sys.modules:
        sys.meta_path.insert(0, _LeanTorchmetrics())
