"""Draw the frame of a chart with two axes: grid, ticks and their names. Its margins are the style sheet's."""

from collections.abc import Callable

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
    (x_name, x_scale, x_text), (y_name, y_scale, y_text) = x, y
    frame = [element("text", y_name, x=-40, y=-12, class_="name")]
    for tick in y_scale.ticks:
        top = height(y_scale, tick, height_px)
        frame.append(level(0, 1, top, "grid"))
        frame.append(element("text", y_text(tick), x=-8, y=top + 4, text_anchor="end"))
    frame.append(element("text", x_name, x="100%", y=height_px + 36, text_anchor="end", class_="name"))
    for tick in x_scale.ticks:
        at = x_scale.share(tick)
        frame.append(upright(at, "tick", top=height_px, bottom=height_px + 4))
        frame.append(element("text", x_text(tick), x=across(at), y=height_px + 18, text_anchor="middle"))
    return picture(title, *frame, *inside, height_px=height_px, class_="plot")


def height(scale: Scale, value: float, height_px: int) -> float:
    """Return where on a chart of this height a value lies, from its top."""
    return height_px * (1 - scale.share(value))
