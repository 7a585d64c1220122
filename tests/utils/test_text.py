"""Names that hold what moves a terminal's cursor, or no text at all."""

import io
import os

import pytest

from ser_lightning.utils.terminal import SafeConsole
from ser_lightning.utils.text import as_file_name, is_file_name, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été 日本 👩‍👩‍👧 a\u00a0b", "été 日本 👩‍👩‍👧 a\u00a0b"),
        ("\x1b]0;title\x07.wav", "\\x1b]0;title\\x07.wav"),
        ("a\nb\rc\td", "a\\x0ab\\x0dc\\x09d"),
        ("\x9b2J", "\\x9b2J"),
        (os.fsdecode(b"J\xfcrgen.wav"), "J\\xfcrgen.wav"),
        ("\ud800", "\\ud800"),
        ("gpj.\u202evaw", "gpj.\\u202evaw"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text, shown):
    assert printable(text) == shown
    shown.encode()


@pytest.mark.parametrize("text", ["/tmp/x", "../x", "..", ".x", "a/b", "a\\b", "a\nb", ""])
def test_what_leads_elsewhere_is_no_name_of_a_file(text):
    assert not is_file_name(text)
    assert "/" not in as_file_name(text) and not as_file_name(text).startswith(".")


def test_names_of_ours_are_names_of_files():
    for name in ("cremad+ravdess", "cnn_gru", "my net (2)", "épreuve"):
        assert is_file_name(name)


def test_lines_stay_lines():
    assert printable("a\n\tb\x1b[31m\r", lines=True) == "a\n\tb\\x1b[31m\\x0d"


def test_a_console_keeps_its_own_colours_and_takes_none_from_a_text():
    from rich.table import Table
    from rich.text import Text

    out = io.StringIO()
    table = Table("name", "what")
    table.add_row("\x1b[2Jevil", Text("fine", style="bold"))
    SafeConsole(file=out, force_terminal=True, width=60, markup=False).print(table)
    assert "\\x1b[2Jevil" in out.getvalue() and "\x1b[2J" not in out.getvalue()
    assert "\x1b[1mfine" in out.getvalue()


def test_lines_of_tables_end_with_no_blanks_but_on_a_terminal():
    from rich.table import Table
    from rich.text import Text

    def printed(**options):
        out = io.StringIO()
        table = Table("name", "what", "n", box=None, title="of\ntwo lines")
        table.add_row("a", "long words that are wrapped into lines", "1")
        table.add_row("b", Text("two \nlines"), "")
        table.add_row()
        console = SafeConsole(file=out, width=24, highlight=False, **options)
        for part in (table, Text("words that are wrapped, too"), "  indented "):
            console.print(part)
        return out.getvalue().splitlines()

    stripped, padded = printed(), printed(force_terminal=True, no_color=True, color_system=None)
    assert stripped == [line.rstrip() for line in stripped]
    assert stripped == [line.rstrip() for line in padded] and stripped != padded
    assert "  indented" in stripped and any(line.startswith(" b     two") for line in stripped)
