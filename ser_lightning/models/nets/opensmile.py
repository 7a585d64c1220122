"""Functionals of audEERING's openSMILE under a linear layer: the classical baseline.

B: clips.  N: training clips.  T: samples of the longest clip.  D: functionals.  K: classes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_lightning.models.nets.network import Network
from ser_lightning.models.pretrained.feature_cache import Clip, FeatureCache
from ser_lightning.models.raw_waveform import RATE_HZ
from ser_lightning.utils.errors import UserError, check_choice
from ser_lightning.utils.files import cache_root

FEATURE_SETS = {"eGeMAPSv02": 88, "ComParE_2016": 6373}  # and D of each
_SHORTEST = RATE_HZ // 10  # samples: openSMILE gives no functionals of less than 60 ms
_LARGEST = 32767 / 32768  # openSMILE makes int16 of it, and 1 would become -1
_MOST_DEVIATIONS = 10.0  # functionals have long tails: one value beyond all of the training would decide alone
_ROWS = 512  # read at a time


class OpenSmile(Network):
    """Multinomial logistic regression on functionals of each clip, standardised by the training clips.

    The sets are eGeMAPS (Eyben et al., 2016, doi 10.1109/TAFFC.2015.2457417) and that of the ComParE challenge
    (Schuller et al., 2016, doi 10.21437/Interspeech.2016-129). They are computed on the CPU, from each clip's own
    samples, and no gradient goes through them. The package is free for research, and not for commercial use.

    Args:
        n_mels, n_classes: 1, that of a `RawWaveform`, and K.
        feature_set: a name in `FEATURE_SETS`.

    Raises: UserError where the package is not installed.
    """

    def __init__(self, *, n_mels: int, n_classes: int, feature_set: str = "ComParE_2016"):
        super().__init__()
        if n_mels != 1:
            raise UserError("openSMILE takes waveforms: model.frontend must be a RawWaveform")
        check_choice("model.net.", FEATURE_SETS, feature_set=feature_set)
        if find_spec("opensmile") is None:  # finds, and does not import
            raise UserError(
                "model=opensmile needs the package opensmile, free for research and not for commercial use: "
                "pip install -c constraints.txt -e '.[opensmile]'"
            )
        self.feature_set = feature_set
        self.standardise = Standardisation(FEATURE_SETS[feature_set])
        self.classify = nn.Linear(FEATURE_SETS[feature_set], n_classes)
        self._cache: FeatureCache | None = None
        self._hashes: Sequence[str] = ()

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, 1, T), (B,) samples to logits (B, K)."""
        return self.forward_head(self.forward_features(features, lengths))

    def forward_features(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Map (B, 1, T), (B,) to functionals (B, D)."""
        clips = [clip[:length] for clip, length in zip(features[:, 0].cpu().numpy(), lengths.tolist(), strict=True)]
        return torch.from_numpy(functionals(clips, self.feature_set)).to(features.device)

    def forward_head(self, x: Tensor) -> Tensor:
        """Map (B, D) to logits (B, K), in 32 bits."""
        with torch.autocast(x.device.type, enabled=False):
            return self.classify(self.standardise(x))

    def cache_features(
        self,
        make: Callable[[list[int]], tuple[Tensor, Tensor]],
        *,
        rows: Sequence[int],
        hashes: Sequence[str],
        n_samples: Sequence[int],
    ) -> bool:
        """Compute the functionals of these clips and keep them on disk, see `Network.cache_features`."""
        store = FeatureCache(
            cache_root() / "features" / f"opensmile-{version('opensmile')}-{self.feature_set}",
            n_layers=1,
            width=FEATURE_SETS[self.feature_set],
            title=f"openSMILE's {self.feature_set}",
            dtype="<f4",  # functionals reach 1e13
        )

        def encode(clips: list[Clip]) -> tuple[Tensor, Tensor]:
            features = self.forward_features(*make([clip.row for clip in clips]))  # (B, D)
            return features[:, None, None], torch.ones(len(clips), dtype=torch.int64)

        store.fill([Clip(row, hashes[row], n_samples[row], 1) for row in rows], encode)
        self._cache, self._hashes = store, hashes
        return True

    def fit_cached(self, rows: Sequence[int]) -> None:
        """Standardise by these clips, see `Network.fit_cached`."""

        def parts() -> Iterator[Tensor]:
            return (self._cached(rows[start : start + _ROWS]).double() for start in range(0, len(rows), _ROWS))

        total = torch.zeros(self.classify.in_features, dtype=torch.float64)
        mean = sum((part.sum(0) for part in parts()), total) / len(rows)
        variance = sum(((part - mean).square().sum(0) for part in parts()), total) / len(rows)
        self.standardise.fit(mean, variance)

    def forward_cached(self, index: Tensor) -> Tensor:
        """Map rows (B,) of clips whose functionals are cached to logits (B, K)."""
        return self.forward_head(self._cached(index.tolist()).to(index.device))

    def _cached(self, rows: Sequence[int]) -> Tensor:
        assert self._cache is not None, "cache_features() comes first"
        states, _ = self._cache.gather([self._hashes[row] for row in rows], [0])  # (B, 1, 1, D)
        return states.flatten(1)


class Standardisation(nn.BatchNorm1d):
    """Standardise (B, D) by mean and variance that were fitted to all training clips.

    As long as they were not, training standardises by the batch, as batch norm does. A value lies at most 10
    deviations from the mean.
    """

    def __init__(self, n_features: int):
        super().__init__(n_features, affine=False, eps=1e-20)  # functionals may be as small as 1e-8
        self._fitted = False

    def fit(self, mean: Tensor, variance: Tensor) -> None:
        """Use this mean (D,) and variance (D,) from now on. What never varies becomes 0."""
        assert self.running_mean is not None and self.running_var is not None
        constant = variance.sqrt() <= 1e-6 * mean.abs()
        self.running_mean.copy_(mean)
        self.running_var.copy_(variance.masked_fill(constant, torch.inf))
        self._fitted = True

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, D) to standardised (B, D)."""
        if self.training and not self._fitted and len(x) > 1:
            standardised = super().forward(x)
        else:
            standardised = functional.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        return standardised.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS)


def functionals(clips: Sequence[np.ndarray], feature_set: str) -> np.ndarray:
    """Return the functionals (B, D) float32 of clips at 16 kHz, floats in [-1, 1]; short ones end in silence."""
    extract = _extractor(feature_set)

    def of_clip(clip: np.ndarray) -> np.ndarray:
        padded = np.pad(clip, (0, max(0, _SHORTEST - len(clip))))
        return extract(padded.clip(-1, _LARGEST), RATE_HZ).reshape(-1)

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # openSMILE, which is C, runs beside Python
        return np.stack(list(threads.map(of_clip, clips))).astype(np.float32, copy=False)


@cache
def _extractor(feature_set: str) -> Any:
    """Return the package's extractor; importing it takes a second, so that is left until it is needed."""
    import opensmile

    return opensmile.Smile(
        feature_set=opensmile.FeatureSet[feature_set], feature_level=opensmile.FeatureLevel.Functionals
    )
