"""Write what the page says, as HTML. Names out of checkpoints and files are text in it, never markup."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from ser_lightning.demo import limits
from ser_lightning.demo.about import About
from ser_lightning.demo.colours import DARK, LIGHT
from ser_lightning.inference.recognizer import Prediction
from ser_lightning.report.numbers import clock, decimal, percent
from ser_lightning.utils.errors import counted

HINT = Markup('<p class="hint">Choose a file or record yourself: the answer appears here. {}</p>').format(
    limits.SENTENCE
)
_MOST_ROWS = 500


def head(about: About) -> Markup:
    """Write the title of the page, and the model that answers."""
    return Markup("<h1>Emotion in speech</h1><p>{}, trained on {}</p>").format(about.name, about.trained_on)


def notes(about: About) -> Markup:
    """Write what to know before believing an answer."""
    facts = Markup("").join(Markup("<p>{}</p>").format(text) for text in about.facts)
    return Markup('<p class="warning">{}</p>').format(about.warning) + facts


def complaint(text: str) -> Markup:
    """Write what went wrong, in the place of an answer."""
    return Markup('<p class="complaint" role="alert">{}</p>').format(text)


def answer(prediction: Prediction, ranges: Mapping[str, tuple[float, float]] | None = None) -> Markup:
    """Write the predicted emotion and a bar for each, or each number in its range, or that all is silent."""
    if prediction.silent:
        return Markup(
            '<p class="predicted" role="status">silent</p>'
            '<p class="hint">Nothing in it is above −60 dB of full scale: there is no answer.</p>'
        )
    if not prediction.labelled:
        return Markup('<ul class="bars numbers" role="status">{}</ul>{}').format(
            _numbers(prediction.values, ranges or {}),
            _segments(prediction) if len(prediction.segments) > 1 else "",
        )
    return Markup('<p class="predicted" role="status">{} <span>{}</span></p><ul class="bars">{}</ul>{}').format(
        prediction.label,
        percent(prediction.confidence),
        _bars(prediction.probabilities, prediction.label),
        _segments(prediction) if len(prediction.segments) > 1 else "",
    )


def picture(pngs: Mapping[str, Path], prediction: Prediction) -> Markup:
    """Write the picture for light and for dark surroundings; the page's style shows one of them."""
    if prediction.labelled:
        names, answer = "probabilities", f"most probable: {prediction.label}"
    else:
        values = prediction.values
        names = ", ".join(values)
        answer = ", ".join(f"{name} {decimal(value, 2)}" for name, value in values.items())
    answer = "silent" if prediction.silent else answer
    text = f"Waveform, spectrogram and {names} over {prediction.duration_s:.1f} s; {answer}"
    return Markup("").join(
        Markup('<img class="on-{}" alt="{}" src="gradio_api/file={}">').format(theme, text, quote(png.as_posix()))
        for theme, png in pngs.items()
    )


def palette(n_classes: int) -> str:
    """Write CSS with the colours of the classes as the pictures have them."""
    rules = []
    for selector, theme in ((":root", LIGHT), (".dark", DARK)):
        colours = [f"--class{number}: {theme.of_class(number, n_classes)};" for number in range(n_classes)]
        rules.append(f"{selector} {{ {' '.join(colours)} }}")
    return "\n".join(rules)


def _bars(probabilities: Mapping[str, float], best: str) -> Markup:
    """Write a bar for each probability."""
    bar = Markup(
        '<li class="{}" data-label="{}" data-probability="{:.6f}"><span>{}</span>'
        '<i><b style="width: {:.2f}%; background: var(--class{})"></b></i><span>{}</span></li>'
    )
    return Markup("").join(
        bar.format("best" if label == best else "", label, share, label, 100 * share, number, percent(share))
        for number, (label, share) in enumerate(probabilities.items())
    )


def _numbers(values: Mapping[str, float], ranges: Mapping[str, tuple[float, float]]) -> Markup:
    """Write each number, and a bar from the lowest to where it lies between the ends of its range."""
    bar = Markup(
        '<li class="best" data-target="{}" data-value="{:.7g}"><span>{}</span>'
        '<i title="{} to {}"><b style="width: {:.2f}%; background: var(--class{})"></b></i><span>{}</span></li>'
    )
    rows = []
    for number, (name, value) in enumerate(values.items()):
        low, high = ranges.get(name, (min(value, 0.0), max(value, 0.0) or 1.0))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        ends = decimal(low, 2), decimal(high, 2)
        rows.append(bar.format(name, value, name, *ends, 100 * share, number, decimal(value, 2)))
    return Markup("").join(rows)


def _segments(prediction: Prediction) -> Markup:
    """Write a row for each segment of a long recording."""
    segments = prediction.segments
    n_silent = sum(segment.silent for segment in segments)
    left_out = f", without {n_silent:,} that are silent" if n_silent else ""
    n_left = len(segments) - _MOST_ROWS
    not_shown = Markup("<p>and {:,} more: ser predict lists them all</p>").format(n_left) if n_left > 0 else ""
    rows = []
    for segment in segments[:_MOST_ROWS]:
        if segment.labelled:
            cells = [segment.label, percent(segment.confidence)]
        else:
            cells = [f"{name} {decimal(value, 2)}" for name, value in segment.values.items()]
        if segment.silent:
            cells = ["silent", *[""] * (len(cells) - 1)]
        times = f"{clock(segment.start_s)}–{clock(segment.end_s)}"
        row = Markup("").join(Markup("<td>{}</td>").format(cell) for cell in (times, *cells))
        rows.append(Markup("<tr>{}</tr>").format(row))
    return Markup(
        '<details><summary>The mean over {}{}</summary><div class="rows"><table>{}</table>{}</div></details>'
    ).format(counted(len(segments) - n_silent, "segment"), left_out, Markup("").join(rows), not_shown)
