"""The console and the JSON that subcommands print results with."""

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 100  # where stdout is no terminal


def print_json(value: dict[str, Any]) -> None:
    """Print plain data to stdout as JSON."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def new_console() -> "Console":
    """Return a console on stdout as wide as the terminal, or of a fixed width where there is none."""
    from ser_lightning.utils.terminal import SafeConsole

    fixed = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return SafeConsole(width=_WIDTH if fixed else None, highlight=False, markup=False)
