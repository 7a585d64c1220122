"""Measure speed: against the notebook's training loop and the bare training step; the start; the selective scan.

``python -m ser_lightning.bench.__main__ [--cremad DIR]``: all in one process, in turns, on the same clips.
"""

import argparse
import contextlib
import io
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from ser_lightning.bench import whole_job
from ser_lightning.bench.model_cost import optimizer_step
from ser_lightning.bench.notebook import NotebookLoop
from ser_lightning.bench.scan import measured, peaks_mb
from ser_lightning.data.batches import Batch
from ser_lightning.data.datamodule import EmotionDataModule
from ser_lightning.runs.directory import RunDirectory
from ser_lightning.runs.environment import describe
from ser_lightning.runs.result import Result
from ser_lightning.training.compose import compose_config
from ser_lightning.training.experiment import make_data, make_module, train
from ser_lightning.utils.malloc import kept_memory
from ser_lightning.utils.precision import choose_precision
from ser_lightning.utils.project import TRAIN_PY

ROUNDS = 6  # counted; one more comes before them, to warm up
SHARED_OUT = 8  # batches on which the parts of a step are timed
EPOCHS = 2  # of the other ways, in a round
START_ROUNDS = 5
SCAN_CLIPS, SCAN_FRAMES = 32, 80
LONG_CLIPS, LONG_FRAMES = 4, (80, 300, 750, 1500, 3000)
SAME_CNN = (
    "model=notebook_cnn",
    "model.net.n_frames=null",  # clips as long as they are, and sorted, so that this is worth something
    "data.pool_batches=16",
    "trainer.gradient_clip_val=null",
    "+model.optimizer.fused=true",
    "callbacks.average_weights=null",
)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Measure speed on this machine.")
    parser.add_argument("--cremad", metavar="DIR", help="CREMA-D or a part of it; synthetic speech without it")
    cremad = parser.parse_args().cremad
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    data = ["data=cremad", f"data.root={Path(cremad).resolve()}"] if cremad else ["data=toy"]
    console = Console(width=100)
    machine = describe(torch.device("cpu"), choose_precision("auto", "auto"))
    versions = f"torch {machine.packages['torch']}, lightning {machine.packages['lightning']}"
    console.print(f"{machine.device}, {machine.threads} threads, {machine.precision}, {versions}")
    console.print(whole_job.shared())
    console.print(whole_job.costs())
    if cremad:
        console.print(whole_job.peer(cremad))
    console.print(_training(data))
    console.print(_start())
    console.print(_scan())
    console.print(_scan_lengths())


def _training(data: list[str]) -> Table:
    """Compare the speed of training with the notebook's loop and with the bare step, and divide up that step."""
    module = make_data(compose_config(*data))
    step = BareStep(compose_config(*data), module)
    ways: dict[str, Callable[[], float]] = {
        "the notebook's loop": NotebookLoop(module).clips_per_s,
        "ours, the notebook's CNN": lambda: _end_to_end(compose_config(*data, *SAME_CNN)),
        "ours, cnn": lambda: _end_to_end(compose_config(*data, "callbacks.average_weights=null")),
        "the bare step of cnn": step.clips_per_s,
    }
    for warm_up in ways.values():
        warm_up()
    rounds = [{name: measure() for name, measure in ways.items()} for _ in range(ROUNDS)]
    table = Table("training", "clips/s", "lowest", "highest", title=f"medians of {ROUNDS} rounds")
    for name in ways:
        table.add_row(name, *_spread([speeds[name] for speeds in rounds], ".0f"))
    table.add_section()
    for name, over, under, aim in (
        ("ours / the notebook's loop, same CNN", "ours, the notebook's CNN", "the notebook's loop", "aim ≥ 6"),
        ("end to end / the bare step, cnn", "ours, cnn", "the bare step of cnn", "aim ≥ 0.90"),
    ):
        table.add_row(f"{name} ({aim})", *_spread([speeds[over] / speeds[under] for speeds in rounds], ".2f"))
    table.add_section()
    for part, share in step.shares().items():
        table.add_row(f"of the bare step: {part}", f"{share:.0%}", "", "")
    return table


def _end_to_end(cfg: DictConfig) -> float:
    """Return clips a second of a whole run, as it would be recorded: data, front-end, training, logging."""
    cfg.trainer.max_epochs = EPOCHS
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        run = RunDirectory(Path(folder))
        train(cfg, run)
        result = run.read_result()
    assert isinstance(result, Result) and result.throughput is not None
    return result.throughput.train_clips_per_s or 0.0


class BareStep:
    """Runs front-end, augmentation, network and optimiser on batches that are in memory already, nothing else."""

    def __init__(self, cfg: DictConfig, data: EmotionDataModule):
        self._module = make_module(cfg, task=data.task, sample_rate_hz=data.sample_rate_hz).train()
        self._module.log = lambda *arguments, **options: None  # type: ignore[method-assign]  # no trainer logs
        self._optimizer = self._module.make_optimizer()
        self._bf16 = choose_precision(cfg.trainer.precision, "cpu") == "bf16-mixed"
        self._clip = cfg.trainer.gradient_clip_val
        self._batches = list(data.train_dataloader())

    def clips_per_s(self) -> float:
        """Return clips a second over the epochs of an end-to-end run, without each epoch's first batch."""
        batches = [*self._batches[1:]] * EPOCHS
        with kept_memory():  # as in a run
            self._step(self._batches[0])
            start = time.perf_counter()
            for batch in batches:
                self._step(batch)
            return sum(len(batch.label) for batch in batches) / (time.perf_counter() - start)

    def _step(self, batch: Batch) -> None:
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=self._bf16)
        optimizer_step(self._module, self._optimizer, batch, autocast=autocast, largest=self._clip)

    def shares(self) -> dict[str, float]:
        """Return how a step's time divides, by timing the parts on the same batches."""
        batches = self._batches[:SHARED_OUT]
        augmentation = self._module.augment
        features = [self._module.frontend(batch.waveform, batch.lengths) for batch in batches]
        targets = [functional.one_hot(batch.label, self._module.task.n_outputs).float() for batch in batches]
        step = _seconds(lambda number: self._step(batches[number]), len(batches))
        front_end = _seconds(lambda n: self._module.frontend(batches[n].waveform, batches[n].lengths), len(batches))
        augment = _seconds(
            lambda n: (
                augmentation.on_waveform(batches[n].waveform),
                augmentation.on_features(features[n][0], features[n][1], targets[n]),
            ),
            len(batches),
        )
        optimiser = _seconds(lambda n: self._optimizer.step(), len(batches))
        parts = {"front-end": front_end, "augmentation": augment, "optimiser": optimiser}
        parts["network, forward and backward"] = step - sum(parts.values())
        return {name: seconds / step for name, seconds in parts.items()}


def _seconds(action: Callable[[int], object], n: int) -> float:
    """Return the median seconds of ``action`` over 0 … n - 1, three times each."""
    times = []
    for number in [*range(n)] * 3:
        start = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _start() -> Table:
    """Show how long `python train.py --cfg job` takes, against importing Lightning."""
    ours = [sys.executable, str(TRAIN_PY), "--cfg", "job"]
    theirs = [sys.executable, "-c", "import lightning"]
    rounds = [(whole_job.wall_s(ours), whole_job.wall_s(theirs)) for _ in range(START_ROUNDS + 1)][1:]
    table = Table("start", "median s", title=f"{START_ROUNDS} runs of each, in turns")
    table.add_row("python train.py --cfg job", f"{statistics.median(our_s for our_s, _ in rounds):.2f}")
    table.add_row("python -c 'import lightning'", f"{statistics.median(their_s for _, their_s in rounds):.2f}")
    ratio = statistics.median(our_s / their_s for our_s, their_s in rounds)
    table.add_row("ratio (aim ≤ 0.6)", f"{ratio:.2f}")
    return table


def _scan() -> Table:
    """Time forward and backward of the selective scan, 512 channels of 16 states, as three ways do it."""
    ways = {"ours": "ours, PyTorch", "mambapy": "mambapy's parallel scan", "loop": "the plain loop"}
    runs = {way: run for way in ways if (run := measured(way, SCAN_CLIPS, SCAN_FRAMES)) is not None}
    for warm_up in runs.values():
        warm_up()
    rounds = [{way: run() * 1000 for way, run in runs.items()} for _ in range(ROUNDS)]
    peaks = {way: peaks_mb(way, SCAN_CLIPS, [SCAN_FRAMES])[0] for way in runs}
    title = f"{SCAN_CLIPS} clips of {SCAN_FRAMES} frames, {ROUNDS} rounds"
    table = Table("selective scan", "median ms", "lowest", "highest", "peak MB", title=title)
    for way, name in ways.items():
        if way in runs:
            table.add_row(name, *_spread([times[way] for times in rounds], ".0f"), _number(peaks[way], ".0f"))
        else:
            table.add_row(name, "not installed: pip install mambapy")
    table.add_section()
    for way, aims in (("mambapy", " (aim ≥ 5, memory ≥ 3)"), ("loop", "")):
        if way in runs:
            ratios = _spread([times[way] / times["ours"] for times in rounds], ".1f")
            ours, theirs = peaks["ours"], peaks[way]
            table.add_row(
                f"{way} / ours{aims}", *ratios, _number(theirs / ours if ours and theirs else None, ".1f")
            )
    return table


def _scan_lengths() -> Table:
    """Show that its cost grows as the clips do, and no faster."""
    runs = [measured("ours", LONG_CLIPS, n_frames) for n_frames in LONG_FRAMES]
    rounds = [[run() for run in runs if run is not None] for _ in range(ROUNDS + 1)][1:]
    peaks = peaks_mb("ours", LONG_CLIPS, LONG_FRAMES)
    table = Table("frames", "lowest ms", "µs a frame", "peak MB", title=f"our selective scan of {LONG_CLIPS} clips")
    for n_frames, seconds, peak in zip(LONG_FRAMES, zip(*rounds, strict=True), peaks, strict=True):
        shortest = min(seconds)
        table.add_row(
            str(n_frames), f"{shortest * 1e3:.0f}", f"{shortest * 1e6 / n_frames:.0f}", _number(peak, ".0f")
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _spread(values: list[float], form: str) -> list[str]:
    """Write median, lowest and highest."""
    return [format(value, form) for value in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
