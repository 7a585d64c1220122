"""Measure the cost of a model: parameters, multiplications, and speed on this machine."""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

from ser_lightning.data.batches import Batch
from ser_lightning.data.corpora import load_corpus
from ser_lightning.data.prepare.decoding import SAMPLE_RATE_HZ
from ser_lightning.models.module import EmotionModule
from ser_lightning.runs.environment import describe
from ser_lightning.runs.result_parts import Environment
from ser_lightning.tasks.classification import Classification
from ser_lightning.training.compose import compose_config
from ser_lightning.training.experiment import make_module
from ser_lightning.utils.errors import UserError
from ser_lightning.utils.precision import choose_precision

SCHEMA = 1  # of the JSON
BATCH_SIZE = 32
CLIP_S = 2.5  # about the median of CREMA-D
N_TIMED = 5  # batches that the median is of, after one to warm up
_ENOUGH_S = 20.0  # after which a slow model is timed no further

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """The cost of one file in conf/model, for clips of 2.5 s.

    ``macs``: multiplications, each with its addition, in the network's matrix products, convolutions and attention,
    for one clip in inference, as PyTorch's FLOP counter finds them. Neither the front-end nor element-wise work
    (norms, activations, the scan of a state-space model) is counted.
    ``train_clips_per_s``, ``inference_clips_per_s``: from int16 waveforms in memory, front-end and augmentation
    included, and in training the optimiser's step.
    ``needs``: why the model could not be made here; the rest is None then.
    """

    name: str
    parameters: int | None = None
    macs: int | None = None
    train_clips_per_s: float | None = None
    inference_clips_per_s: float | None = None
    needs: str | None = None


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """The costs of models, and the machine they were measured on."""

    machine: Environment
    models: list[ModelCost]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": SCHEMA,
            "batch_size": BATCH_SIZE,
            "clip_s": CLIP_S,
            "machine": self.machine.plain(),
            "models": [asdict(cost) for cost in self.models],
        }


def model_table(names: Sequence[str]) -> ModelTable:
    """Measure these files of conf/model, one after the other, on the GPU if there is one, on batches of noise."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = choose_precision("auto", device.type)
    models = []
    for name in names:
        log.info("measuring %s", name)
        models.append(_cost(name, device, torch.autocast(device.type, torch.bfloat16, precision == "bf16-mixed")))
    return ModelTable(machine=describe(device, precision), models=models)


def _cost(name: str, device: torch.device, autocast: torch.autocast) -> ModelCost:
    """Measure one model, or say what it needs to be made here."""
    torch.manual_seed(0)  # the same noise, and the same random stretches, for every model
    config = compose_config(f"model={name}")
    task = Classification(tuple(load_corpus(config.data.corpus).labels))
    try:
        module = make_module(config, task=task, sample_rate_hz=SAMPLE_RATE_HZ)
    except UserError as error:
        return ModelCost(name=name, needs=str(error))
    macs = _macs(module)
    module.to(device)
    n_samples, label = round(CLIP_S * SAMPLE_RATE_HZ), torch.arange(BATCH_SIZE, device=device) % task.n_outputs
    batch = Batch(  # noise, in clips equally long
        waveform=torch.randint(-8_000, 8_000, (BATCH_SIZE, n_samples), dtype=torch.int16).to(device),
        lengths=torch.full((BATCH_SIZE,), n_samples, device=device),
        label=label,
        target=functional.one_hot(label, task.n_outputs).float(),
        index=torch.arange(BATCH_SIZE, device=device),
    )
    module.log = lambda *arguments, **options: None  # type: ignore[method-assign]  # there is no trainer
    optimizer, largest = module.make_optimizer(), config.trainer.gradient_clip_val
    return ModelCost(
        name=name,
        parameters=module.n_parameters(),
        macs=macs,
        train_clips_per_s=_clips_per_s(
            lambda: optimizer_step(module.train(), optimizer, batch, autocast=autocast, largest=largest), device
        ),
        inference_clips_per_s=_clips_per_s(lambda: _infer(module.eval(), batch, autocast), device),
    )


def _macs(module: EmotionModule) -> int:
    """Return the multiplications for one clip, counted on the CPU."""
    n_samples = round(CLIP_S * SAMPLE_RATE_HZ)
    clip = torch.randint(-3_000, 3_000, (1, n_samples), dtype=torch.int16)  # noise, which counts as speech
    features, frames = module.frontend(clip, torch.tensor([clip.shape[1]]))
    # with gradients, and with attention spelt out: the fused kernels are unknown to the counter
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module.eval().net(features, frames)
    return counter.get_total_flops() // 2


def optimizer_step(
    module: EmotionModule, optimizer: Optimizer, batch: Batch, *, autocast: torch.autocast, largest: float
) -> None:
    """Make one step of the optimiser on a batch, as a training does; ``largest`` is the norm of the gradient."""
    with autocast:
        loss = module.training_step(batch, 0)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), largest)
    optimizer.step()


def _infer(module: EmotionModule, batch: Batch, autocast: torch.autocast) -> None:
    with autocast, torch.inference_mode():
        module(batch.waveform, batch.lengths)


def _clips_per_s(step: Callable[[], None], device: torch.device) -> float:
    """Time a few steps and return the median speed."""
    _seconds(step, device)
    times: list[float] = []
    while len(times) < N_TIMED and sum(times) < _ENOUGH_S:
        times.append(_seconds(step, device))
    return BATCH_SIZE / statistics.median(times)


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
