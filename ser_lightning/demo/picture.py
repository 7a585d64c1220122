"""Draw a recording: waveform, spectrogram, and probabilities or numbers over time, on one time axis.

T: samples.  G: segments.  K: labels or targets.
"""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from ser_lightning.demo.colours import Theme
from ser_lightning.demo.sound import envelope, spectrogram
from ser_lightning.inference.recognizer import Prediction, Segment
from ser_lightning.report.drawing import written_as_given

_SIZE = (5.6, 5.4)  # inches: small, so that its writing can be read on a phone
_PLACE = {"left": 0.11, "right": 0.955, "top": 0.95, "bottom": 0.1, "hspace": 0.22}
_DPI = 210
_RANGE_DB = 70  # below the loudest: what is quieter is not drawn
_QUIETEST_PEAK, _QUIETEST_DB = 0.02, -30  # what is quieter is not made to look like speech
_NAMED = 0.08  # a share that has room for a name
_MINUTES_FROM_S = 100


def draw(
    samples: NDArray[np.int16],
    sample_rate_hz: int,
    prediction: Prediction,
    theme: Theme,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> bytes:
    """Draw samples (T,) and what was predicted of them, as a PNG; ``ranges`` are those of numbers, by name."""
    figure = Figure(figsize=_SIZE, dpi=_DPI, facecolor=theme.paper)
    FigureCanvasAgg(figure)
    file = io.BytesIO()
    with written_as_given():
        wave, spectrum, answer = figure.subplots(3, sharex=True, height_ratios=(1, 1.7, 1.7), gridspec_kw=_PLACE)
        _draw_wave(wave, samples, prediction.duration_s, theme)
        _draw_spectrum(spectrum, samples, sample_rate_hz, theme)
        if prediction.labelled:
            _draw_shares(answer, prediction, theme)
        else:
            _draw_numbers(answer, prediction, theme, ranges or {})
        if prediction.silent:
            _write(answer, prediction.duration_s / 2, 0.5, "silent", theme.ink, box=theme.paper)
        _count_time(answer, prediction.duration_s, theme)
        figure.savefig(file, format="png")
    return file.getvalue()


def borders(segments: Sequence[Segment]) -> list[float]:
    """Return G + 1 times in s: each moment belongs to the segment whose middle is nearest."""
    middles = [(segment.start_s + segment.end_s) / 2 for segment in segments]
    return [segments[0].start_s, *((a + b) / 2 for a, b in pairwise(middles)), segments[-1].end_s]


def _draw_wave(axes: Axes, samples: NDArray[np.int16], duration_s: float, theme: Theme) -> None:
    """Draw the envelope of samples (T,), as high as the loudest of them."""
    low, high = envelope(samples)
    times = np.linspace(0, duration_s, len(low))
    axes.fill_between(times, low, high, color=theme.wave, linewidth=0.6)
    peak = max(_QUIETEST_PEAK, float(np.abs((low, high)).max()))
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([])
    _dress(axes, "waveform", theme)


def _draw_spectrum(axes: Axes, samples: NDArray[np.int16], sample_rate_hz: int, theme: Theme) -> None:
    """Draw the spectrogram of samples (T,), its colours relative to the loudest place."""
    decibels = spectrogram(samples, sample_rate_hz)
    loudest = max(float(decibels.max()), _QUIETEST_DB)
    axes.imshow(
        decibels,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        extent=(0, len(samples) / sample_rate_hz, 0, sample_rate_hz / 2000),
        cmap=theme.spectrum,
        vmin=loudest - _RANGE_DB,
        vmax=loudest,
    )
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    _dress(axes, "spectrogram, kHz", theme)


def _draw_shares(axes: Axes, prediction: Prediction, theme: Theme) -> None:
    """Stack the shares of a segment, which add up to 1, the first class on top as in the bars beside them."""
    edges = borders(prediction.segments)
    audible = np.array([not segment.silent for segment in prediction.segments], float)  # (G,)
    table = np.array([list(segment.probabilities.values()) for segment in prediction.segments])  # (G, K)
    tops = 1 - np.concatenate([np.zeros((len(table), 1)), table.cumsum(axis=1)], axis=1)  # (G, K + 1)
    names = list(prediction.probabilities)
    for number in range(len(names)):
        top, bottom = tops[:, number], tops[:, number + 1]
        axes.stairs(
            np.where(audible > 0, top, 0),
            edges,
            baseline=np.where(audible > 0, bottom, 0),
            fill=True,
            color=theme.of_class(number, len(names)),
            linewidth=0,
        )
    axes.stairs(
        1 - audible, edges, fill=True, facecolor=theme.faint, edgecolor=theme.muted, hatch="//", linewidth=0
    )
    if len(prediction.segments) == 1 and not prediction.silent:
        for number, name in enumerate(names):
            if table[0, number] >= _NAMED:
                middle = (tops[0, number] + tops[0, number + 1]) / 2
                _write(axes, prediction.duration_s / 2, middle, name, theme.on_class)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    _dress(axes, "probabilities" if len(prediction.segments) == 1 else "probabilities over time", theme)


def _draw_numbers(
    axes: Axes, prediction: Prediction, theme: Theme, ranges: Mapping[str, tuple[float, float]]
) -> None:
    """Draw a line for each number, from the lowest to the highest of its range; its values are at its right end."""
    edges = borders(prediction.segments)
    audible = [not segment.silent for segment in prediction.segments]
    names = list(prediction.values)
    for number, name in enumerate(names):
        values = np.array([segment.values[name] for segment in prediction.segments])  # (G,)
        low, high = ranges.get(name, (float(values.min()), float(values.max()) or 1.0))
        heights = np.where(audible, np.clip((values - low) / ((high - low) or 1.0), 0, 1), np.nan)
        colour = theme.of_class(number, len(names))
        axes.stairs(heights, edges, baseline=None, color=colour, linewidth=2.2)
        if not prediction.silent:
            text = f"{name} {prediction.values[name]:.2f} (of {low:g} to {high:g})"
            axes.text(
                0.01, 0.95 - 0.13 * number, text, color=colour, fontsize=9, transform=axes.transAxes, va="top"
            )
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 1], ["low", "high"])
    _dress(axes, "predicted" if len(prediction.segments) == 1 else "predicted, over time", theme)


def _write(axes: Axes, x: float, y: float, text: str, colour: str, *, box: str | None = None) -> None:
    around = None if box is None else {"facecolor": box, "edgecolor": "none", "boxstyle": "round,pad=0.4"}
    axes.text(x, y, text, color=colour, fontsize=10.5, ha="center", va="center", bbox=around)


def _dress(axes: Axes, title: str, theme: Theme) -> None:
    """Write the title of a panel, and give it the theme's colours."""
    axes.set_title(title, loc="left", fontsize=10.5, color=theme.ink, pad=5)
    axes.set_facecolor(theme.paper)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=10.5, colors=theme.muted)


def _count_time(axes: Axes, duration_s: float, theme: Theme) -> None:
    """Mark seconds, or minutes and seconds of what is long."""
    axes.set_xlim(0, duration_s)
    long = duration_s >= _MINUTES_FROM_S
    steps = [1, 1.5, 3, 6, 10] if long else [1, 2, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=steps))
    if long:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda s, _: f"{int(s) // 60}:{int(s) % 60:02}"))
    axes.set_xlabel("min:s" if long else "seconds", fontsize=10.5, color=theme.muted)
