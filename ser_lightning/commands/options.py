"""Arguments and options that several subcommands share, and the check of the files that options name."""

from collections.abc import Mapping
from pathlib import Path

import click

from ser_lightning.utils.errors import UserError

STDOUT = "-"

checkpoint_argument = click.argument("checkpoint", metavar="CKPT")
overrides_argument = click.argument("overrides", nargs=-1)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
device_option = click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, or cuda.")
trust_option = click.option(
    "--trust", is_flag=True, help="Run code that is not of this package, where the checkpoint names it."
)


def check_places(places: Mapping[str, str]) -> None:
    """Check that the files, by option, can be written, before any work is done; ``-`` is stdout.

    Raises: UserError for the first that cannot.
    """
    if list(places.values()).count(STDOUT) > 1:
        raise UserError("only one of them can have stdout: name a file for the others")
    if places.get("html") == STDOUT:
        raise UserError("--html needs the name of a file: a page is for a browser")
    for option, place in places.items():
        if place == STDOUT:
            continue
        if Path(place).is_dir():
            raise UserError(f"--{option} {place} is a directory: name a file")
        if not Path(place).absolute().parent.is_dir():
            raise UserError(f"--{option} {place} cannot be written: {Path(place).parent} is not there")
