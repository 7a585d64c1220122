"""Run train.py as a process of its own, and record when its parts begin and end.

``python -m ser_lightning.bench.timed_job SPANS.json OVERRIDES…`` is ``python train.py OVERRIDES…`` with clocks.
"""

import atexit
import functools
import json
import runpy
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ser_lightning.utils.project import TRAIN_PY

STEP = "a training step"
# what is timed: its name in the table, the module, and the function in it
_PARTS = (
    ("the config's check", "ser_lightning.training.experiment", "_check_config"),
    ("data", "ser_lightning.data.datamodule", "EmotionDataModule.setup"),
    ("W&B, until it starts by itself", "ser_lightning.training.experiment", "_logger"),
    ("checkpoints", "lightning.pytorch", "Trainer.save_checkpoint"),
    ("validation and test of the best epoch", "ser_lightning.training.experiment", "evaluate_best"),
    ("figures, model card and W&B's entry", "ser_lightning.training.experiment", "_illustrate"),
    ("of these, W&B's entry", "ser_lightning.tracking.run", "log_result"),
    ("W&B's end", "ser_lightning.tracking.run", "finish"),
    ("tables on the screen", "ser_lightning.training.experiment", "_print_summary"),
)


def main() -> None:
    """Run it; the spans are written when the process ends."""
    spans: list[tuple[str, float, float]] = []  # name, begin and end, seconds since 1970
    written, sys.argv = Path(sys.argv[1]), [str(TRAIN_PY), *sys.argv[2:]]
    job: Any = import_module("ser_lightning.training.job")
    prepare = job._settle_threads

    def imports(*arguments: Any) -> None:  # what a job imports next, one after the other
        atexit.register(lambda: written.write_text(json.dumps(spans), encoding="utf-8"))
        prepare(*arguments)
        for name in ("torch", "lightning.pytorch", "ser_lightning.training.experiment"):
            begin = time.time()
            import_module(name)
            spans.append((f"import {name}, and what it imports", begin, time.time()))
        _wrap(import_module("lightning.pytorch").LightningModule, "optimizer_step", STEP, spans)
        for name, module, path in _PARTS:
            *owners, function = path.split(".")
            _wrap(functools.reduce(getattr, owners, import_module(module)), function, name, spans)

    job._settle_threads = imports
    runpy.run_path(sys.argv[0], run_name="__main__")


def _wrap(owner: Any, function: str, name: str, spans: list[tuple[str, float, float]]) -> None:
    inner: Callable[..., Any] = getattr(owner, function)

    @functools.wraps(inner)
    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.time()
        try:
            return inner(*arguments, **options)
        finally:
            spans.append((name, begin, time.time()))

    setattr(owner, function, timed)


if __name__ == "__main__":
    main()
