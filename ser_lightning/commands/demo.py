"""`ser demo`: try a model in the browser."""

import os
import sys
from pathlib import Path

import click

from ser_lightning.commands.options import checkpoint_argument, trust_option
from ser_lightning.commands.program import explain
from ser_lightning.utils.cores import settle


@click.command()
@checkpoint_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="An address of this machine; with one that others reach, or 0.0.0.0 for all, a password is asked for.",
)
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of 7860, or the next free one; 0 for any.")
@click.option(
    "--password",
    envvar="SER_DEMO_PASSWORD",
    show_envvar=True,
    help="Of 8 characters or more. For other machines one is made up and printed if none is given.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@trust_option
def demo(checkpoint: str, host: str, port: int | None, password: str | None, no_browser: bool, trust: bool) -> None:
    """Try a model in the browser, on files or on your own voice.

    CKPT is the checkpoint of a run, or the run's directory. The page is for this machine alone, unless --host names
    another address.
    """
    settle()
    from ser_lightning.demo.server import serve

    try:
        serve(Path(checkpoint), host=host, port=port, password=password, open_browser=not no_browser, trust=trust)
    except KeyboardInterrupt as error:
        status = explain(error)
        sys.stdout.flush()
        os._exit(status)  # else an answer that is still computed would be waited for
