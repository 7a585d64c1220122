"""Metrics of predicted numbers: concordance correlation (CCC), Pearson's r, MAE and RMSE.

N clips, K targets, S speakers, R repetitions (seeds). W: sets of sums at a time, such as resamples.
All are computed from sums over clips, so that a bootstrap over speakers adds what each of them contributes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ser_lightning.evaluation.metrics import Floats, known_mean
from ser_lightning.evaluation.part_scores import known
from ser_lightning.evaluation.records import RegressionScores, TargetScores

METRICS = ("ccc", "pearson", "mae", "rmse")
N_SUMS = 7  # of each target: clips, t, p, t², p², tp, |t - p|, of true t and predicted p


def by_speaker(
    speakers: NDArray[np.int64], truth: NDArray, predicted: NDArray, n_speakers: int
) -> NDArray[np.float64]:
    """Return the sums of each speaker's clips, (S, K, `N_SUMS`), from indices (N,) and two tables (N, K)."""
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    of_clips = np.stack([np.ones_like(t), t, p, t * t, p * p, t * p, np.abs(t - p)], axis=-1)  # (N, K, N_SUMS)
    sums = np.zeros((n_speakers, *of_clips.shape[1:]))
    np.add.at(sums, speakers, of_clips)
    return sums


def target_metrics(sums: NDArray) -> Floats:
    """Return `METRICS` of each target, (..., K, N_SUMS) -> (..., K, 4); NaN for what is not defined.

    CCC as Lin (Biometrics 45:255, 1989) estimates it, with moments over N, which punishes a shift and a scale that
    Pearson's r ignores: 2 s_tp / (s_t² + s_p² + (mean t - mean p)²). Of fewer than two clips there is neither.
    """
    n, t, p, tt, pp, tp, absolute = np.moveaxis(np.asarray(sums, np.float64), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_t, mean_p = t / n, p / n
        var_t, var_p = np.maximum(tt / n - mean_t**2, 0.0), np.maximum(pp / n - mean_p**2, 0.0)
        covariance = tp / n - mean_t * mean_p
        spread = var_t + var_p + (mean_t - mean_p) ** 2
        ccc = np.where((n > 1) & _varies(spread, (tt + pp) / n), 2 * covariance / spread, np.nan)
        pearson = np.where(
            (n > 1) & _varies(var_t, tt / n) & _varies(var_p, pp / n), covariance / np.sqrt(var_t * var_p), np.nan
        )
        rmse = np.sqrt(np.maximum(tt - 2 * tp + pp, 0.0) / n)
        values = [ccc, np.clip(pearson, -1, 1), absolute / n, rmse]
    return np.stack(values, axis=-1)


def _varies(variance: Floats, mean_square: Floats) -> NDArray[np.bool_]:
    """Return where a variance is more than what rounding leaves of none."""
    return variance > 1e-12 * mean_square


def group_metrics(sums: NDArray) -> Floats:
    """Return the means of `METRICS` over targets, then every target's CCC, means over repetitions.

    (W, R, K, N_SUMS) -> (W, 4 + K).
    """
    by_target = target_metrics(sums)  # (W, R, K, 4)
    means = known_mean(np.swapaxes(by_target, -1, -2))  # (W, R, 4)
    return known_mean(np.moveaxis(np.concatenate([means, by_target[..., 0]], axis=-1), 1, -1))


def regression_scores(sums: NDArray, targets: Sequence[str]) -> RegressionScores:
    """Return the scores of sums (K, N_SUMS). Raises: ValueError for no clip."""
    if not sums.size or sums[0, 0] < 1:
        raise ValueError("no clips to score")
    table = target_metrics(sums)  # (K, 4)
    return RegressionScores(
        **dict(zip(METRICS, map(known, known_mean(table.T).tolist()), strict=True)),
        targets={
            name: TargetScores(**dict(zip(METRICS, map(known, row), strict=True)))
            for name, row in zip(targets, table.tolist(), strict=True)
        },
    )
