"""A console for texts of other people's making: a file's name can hold what moves a terminal's cursor."""

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ser_lightning.utils.text import print_no_more, printable


def number_table(*texts: str, numbers: Iterable[str], gap: int = 2, **options: Any) -> Table:
    """Return an empty table without lines: columns of texts, then of numbers; ``options`` are Rich's."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim", **options)
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


class SafeConsole(Console):
    """A Rich console that shows texts, whatever they hold, as texts."""

    def on_broken_pipe(self) -> None:
        """Go on where nobody reads any more: what is printed is not what a command or a training is for."""
        self.quiet = True
        print_no_more()

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a text of a string, `printable` from the first, so that columns become as wide as they must be."""
        return super().render_str(printable(text, lines=True), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render with every text in it `printable`; outside a terminal no line ends with blanks, as tables' do."""
        blanks: list[Segment] = []  # that are left out where a line ends with them
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = segment._replace(text=printable(segment.text, lines=True))
            if segment.control is not None or self.is_terminal:
                yield segment
                continue
            text = re.sub(" +\n", "\n", segment.text)
            kept = text.rstrip(" ")
            if kept:
                yield from () if kept.startswith("\n") else blanks
                yield segment._replace(text=kept)
                blanks = []
            if len(kept) < len(text):
                blanks.append(segment._replace(text=text[len(kept) :]))
        yield from blanks
