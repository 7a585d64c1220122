"""Draw the frame of a chart with two axes: grid, ticks and their names. Its margins are the style sheet's."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from ser_lightning.compare.html.charts.axes import Scale
from ser_lightning.compare.html.charts.svg import across, element, level, picture, upright


def plot(
    title: str,
    *inside: str,
    x: tuple[str, Scale, Callable[[float], str]],
    y: tuple[str, Scale, Callable[[float], str]],
    height_px: int,
) -> Markup:
    """Draw ``inside`` in a frame; an axis is its name, its scale and how its numbers are written."""
    frame = [*_rows(*y, height_px), *_columns(*x, height_px)]
    return picture(title, *frame, *inside, height_px=height_px, class_="plot")


def height(scale: Scale, value: float, height_px: int) -> float:
    """Return where on a chart of this height a value lies, from its top."""
    return height_px * (1 - scale.share(value))


def _rows(name: str, scale: Scale, write: Callable[[float], str], height_px: int) -> Sequence[Markup]:
    parts = [element("text", name, x=-40, y=-12, class_="name")]
    for tick in scale.ticks:
        y = height(scale, tick, height_px)
        parts.append(level(0, 1, y, "grid"))
        parts.append(element("text", write(tick), x=-8, y=y + 4, text_anchor="end"))
    return parts


def _columns(name: str, scale: Scale, write: Callable[[float], str], height_px: int) -> Sequence[Markup]:
    parts = [element("text", name, x="100%", y=height_px + 36, text_anchor="end", class_="name")]
    for tick in scale.ticks:
        at = scale.share(tick)
        parts.append(upright(at, "tick", top=height_px, bottom=height_px + 4))
        parts.append(element("text", write(tick), x=across(at), y=height_px + 18, text_anchor="middle"))
    return parts
