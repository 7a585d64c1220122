"""Write the page of a comparison: one HTML file that needs nothing beside it, neither network nor JavaScript.

What came from configs and file names reaches the page through Jinja's and MarkupSafe's escaping alone, and a
content security policy lets no script run but page.js.
"""

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ser_lightning.compare.comparison import Comparison
from ser_lightning.compare.html import pairwise
from ser_lightning.compare.html.charts import axes, curves, row_charts, scatter, svg
from ser_lightning.compare.html.words import words_of
from ser_lightning.compare.tables import tests_clips
from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.evaluation.bootstrap import Estimate
from ser_lightning.report import metric_style, numbers, protocol
from ser_lightning.report.leakage import SHARED
from ser_lightning.utils.errors import counted
from ser_lightning.utils.files import written_whole
from ser_lightning.utils.text import printable

_TEMPLATES = Path(__file__).parent / "templates"
_N_CURVES_SHOWN = 8  # at first: as many as there are colours


def write_page(path: Path, comparisons: Sequence[Comparison]) -> None:
    """Write the page of these comparisons, a section each; their results are never ranked together.

    Raises:
        ValueError: there is nothing to show.
    """
    if not comparisons or not all(comparison.groups for comparison in comparisons):
        raise ValueError(
            "a page needs at least one comparison, and each of them at least one group of finished runs"
        )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    page = _environment().get_template("page.html.j2")
    text = page.render(
        comparisons=comparisons,
        today=date.today(),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with written_whole(path) as file:
        # names need not be valid Unicode, and may hold what turns the direction of writing around
        file.write(printable(text.encode("utf-8", "replace").decode(), lines=True))


@cache
def _environment() -> Environment:
    """Return the environment of the templates, with the functions that they call."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (
        numbers.percent,
        numbers.interval,
        numbers.points,
        numbers.p_value,
        numbers.decimal,
        numbers.count,
        numbers.minutes,
        numbers.short,
        numbers.setting,
        curves.mean_curve,
        words_of,
        counted,
        protocol.corpora,
        protocol.in_words,
    ):
        environment.filters[write.__name__] = write
    environment.globals.update(
        axes=axes,
        curves=curves,
        pairwise=pairwise,
        scatter=scatter.scatter,
        row_charts=row_charts,
        svg=svg,
        best_by_output=best_by_output,
        epochs_of=epochs_of,
        headline_style=metric_style.headline_style,
        headline_title=metric_style.headline_title,
        style_of=metric_style.style_of,
        output_scale=output_scale,
        tests_clips=tests_clips,
        words_of=words_of,
        scale_of=scale_of,
        speaker_scale=speaker_scale,
        speakers_of=speakers_of,
        thin=thin,
        short=numbers.short,
        max_names=scatter.MAX_NAMES,
        missing=numbers.MISSING,
        n_curves_shown=_N_CURVES_SHOWN,
        said_elsewhere=(SYNTHETIC, SHARED),
    )
    return environment


def scale_of(
    estimates: Iterable[Estimate | None], style: metric_style.Style, also: float | None = None
) -> axes.Scale:
    """Return an axis that holds these intervals, and one more value."""
    values = [end for at in estimates if at is not None for end in (at.low, at.value, at.high)]
    if also is not None:
        values.append(also)
    return axes.even(values, span=0.1, floor=style.lowest, ceiling=1, n_ticks=4)


def output_scale(comparison: Comparison) -> axes.Scale:
    """Return the axis of scores by label, from 0 to 1, or of those by target, around all of them."""
    style = metric_style.headline_style(comparison.task)
    if style.is_share:
        return axes.Scale(0, 1, ticks=(0, 0.25, 0.5, 0.75, 1))
    return scale_of((at for group in comparison.groups for at in group.by_output.values()), style)


def best_by_output(comparison: Comparison) -> dict[str, float]:
    """Return the highest score of each emotion or target that any group was tested with."""
    values = {
        name: [group.by_output[name].value for group in comparison.groups if name in group.by_output]
        for name in comparison.task.outputs
    }
    return {name: max(filter(math.isfinite, scores), default=math.nan) for name, scores in values.items()}


def speaker_scale(comparison: Comparison) -> axes.Scale:
    """Return an axis that holds every speaker's score with every group."""
    style = metric_style.headline_style(comparison.task)
    shares = [share for group in comparison.groups for share in group.by_speaker.values()]
    return axes.even(shares, span=0.2, floor=style.lowest, ceiling=1)


def speakers_of(comparison: Comparison) -> list[str]:
    """Return all speakers, 2 before 10."""
    speakers = {speaker for group in comparison.groups for speaker in group.by_speaker}
    return sorted(speakers, key=lambda speaker: [part.zfill(12) for part in re.split(r"(\d+)", speaker)])


def epochs_of(lines: Iterable[curves.Line]) -> list[int]:
    """Return every epoch that one of the lines reaches."""
    return sorted({epoch for line in lines for epoch in line.curve})


def thin(values: Sequence[Any], at_most: int) -> list[Any]:
    """Return at most so many of the values, evenly, with the first and the last."""
    if len(values) <= at_most:
        return list(values)
    return [values[round(number * (len(values) - 1) / (at_most - 1))] for number in range(at_most)]
