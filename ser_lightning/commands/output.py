"""How results reach a person or a program."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 100  # where stdout is no terminal

as_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of tables.")


def print_json(value: dict[str, Any]) -> None:
    """On stdout."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def new_console() -> "Console":
    """On a terminal as wide as that, else of a width that does not depend on who reads it."""
    from ser_lightning.utils.terminal import SafeConsole

    fixed = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return SafeConsole(width=_WIDTH if fixed else None, highlight=False, markup=False)
