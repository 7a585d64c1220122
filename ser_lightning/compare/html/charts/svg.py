"""Write SVG that stretches: positions across are per cent of the width, so that text and marks keep their size.

Colours and strokes are the style sheet's: a group's are those of class ``c0`` to ``c7``, by its rank from 0.
"""

from typing import Any

from markupsafe import Markup, escape

# Coprime, so that colour and shape together tell 56 groups apart, and neighbours differ in both.
N_COLOURS, N_SHAPES = 8, 7
_SHAPES = (
    "M0-4.4A4.4 4.4 0 1 1 0 4.4A4.4 4.4 0 1 1 0-4.4Z",  # circle
    "M-4-4H4V4H-4Z",  # square
    "M0-5.4L5 3.8H-5Z",  # triangle
    "M0-5.6L5 0L0 5.6L-5 0Z",  # diamond
    "M0 5.4L5-3.8H-5Z",  # triangle on its tip
    "M-1.8-5H1.8V-1.8H5V1.8H1.8V5H-1.8V1.8H-5V-1.8H-1.8Z",  # plus
    "M0-5.4L5.1-1.7L3.2 4.4H-3.2L-5.1-1.7Z",  # pentagon
)


def element(name: str, *inside: str, **attributes: Any) -> Markup:
    """Write an element, everything in it escaped; ``class_`` is class, ``stroke_width`` is stroke-width."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(map(escape, inside))}</{name}>")


def picture(title: str, *inside: str, height_px: float, class_: str = "") -> Markup:
    """Write an image as wide as its place, which says to those who cannot see it what it shows."""
    return element(
        "svg", element("title", title), *inside, class_=f"chart {class_}".strip(), role="img", height=height_px
    )


def across(share: float) -> str:
    """Return a position across, 0 to 1 of the width."""
    return f"{_number(100 * share)}%"


def upright(share: float, class_: str, *, top: float | str = 0, bottom: float | str = "100%") -> Markup:
    """Draw a line from top to bottom, at a share of the width."""
    x = across(share)
    return element("line", x1=x, x2=x, y1=top, y2=bottom, class_=class_)


def level(left: float, right: float, y: float, class_: str, **attributes: Any) -> Markup:
    """Draw a line at a height, from one share of the width to another."""
    return element("line", x1=across(left), x2=across(right), y1=y, y2=y, class_=class_, **attributes)


def colour(group: int) -> str:
    """Return the class of a group's colour."""
    return f"c{group % N_COLOURS}"


def mark(
    group: int, x: float, y_px: float, *, tip: str | None = None, shipped: bool = False, **attributes: Any
) -> Markup:
    """Put a group's shape, in its colour, at ``x`` of the width; that of a reference, which ships, is hollow."""
    shape = f"#shape{group % N_SHAPES}"
    class_ = f"mark {colour(group)}{' shipped' if shipped else ''}"
    return element("use", href=shape, x=across(x), y=y_px, class_=class_, data_tip=tip, **attributes)


def shapes() -> Markup:
    """Return what `mark` refers to, once in a page."""
    paths = [element("path", id=f"shape{number}", d=d) for number, d in enumerate(_SHAPES)]
    return element("svg", element("defs", *paths), class_="defs", aria_hidden="true", width=0, height=0)


def swatch(group: int) -> Markup:
    """Return a group's shape and colour, for legends and names."""
    shape = element("use", href=f"#shape{group % N_SHAPES}", class_=f"mark {colour(group)}")
    return element("svg", shape, class_="swatch", viewBox="-6 -6 12 12", aria_hidden="true")


def _number(value: Any) -> Any:
    """Write a float in as few characters as show the same."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
