"""Log to a W&B run that starts beside the training and may break in the middle of it, by Lightning's logger."""

import logging
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import WandbLogger

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

_log = logging.getLogger(__name__)


class TolerantWandbLogger(WandbLogger):
    """Lightning's W&B logger, except that it counts epochs from 1, and falls silent where W&B breaks.

    What is logged while W&B is still starting is kept until it has started.

    Args:
        starting: the run to be; None of it: W&B does not work here.
        options: those of Lightning's logger.
    """

    def __init__(self, starting: "futures.Future[Run | None] | None" = None, **options: Any):
        super().__init__(**options)
        self._starting = starting
        self._kept: list[Callable[[], None]] = []
        self._broken = False

    @property
    def experiment(self) -> Any:
        """Return the W&B run; None where W&B does not work. One that is starting is waited for when it is used."""
        if self._starting is not None and not self._starting.done():
            return _RunToBe(self)
        return self.wait() or (None if self._broken else super().experiment)

    def wait(self, patience_s: float | None = None) -> "Run | None":
        """Return the W&B run when it has started and been told what was kept.

        None where W&B does not work, or is still starting after ``patience_s``.
        """
        if self._starting is not None:
            if not futures.wait([self._starting], patience_s).done:
                return None
            self._experiment = self._starting.result()
            self._broken = self._experiment is None
            self._starting = None  # a future cannot be pickled
        kept, self._kept = self._kept, []
        for action in kept:
            self._try(action)
        return self._experiment  # type: ignore[return-value]  # Lightning's type has W&B's disabled runs in it

    def __getstate__(self) -> dict[str, Any]:
        self.wait()
        return super().__getstate__()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalars at a training step."""
        ours = {name: value + (name == "epoch") for name, value in metrics.items()}
        self._log(lambda: WandbLogger.log_metrics(self, ours, step))

    def log_hyperparams(self, params: Any) -> None:
        """Add to the run's config."""
        self._log(lambda: WandbLogger.log_hyperparams(self, params))

    def _log(self, action: Callable[[], None]) -> None:
        """Do it, or keep it while the run is still starting."""
        if self._starting is not None and not self._starting.done():
            self._kept.append(action)
        else:
            self.wait()
            self._try(action)

    def _try(self, action: Callable[[], None]) -> None:
        """Do it, unless W&B broke before; where it breaks now, that is a warning."""
        if self._broken:
            return
        try:
            action()
        except Exception as error:
            self._broken = True
            _log.warning("W&B stopped working and is left out from here on: %s", one_line(error))


class _RunToBe:
    """Stands for a run that is starting, since Lightning asks a logger for its experiment before the first step."""

    def __init__(self, logger: TolerantWandbLogger):
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger.wait(), name)


def one_line(error: Exception) -> str:
    """Return what went wrong, in a line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
