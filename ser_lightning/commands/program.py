"""The frame of `ser`: remarks on stderr, failures in one line, exit statuses, guesses at what was meant."""

import atexit
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ser_lightning.utils import signals
from ser_lightning.utils.errors import did_you_mean, is_full, is_interrupt, why
from ser_lightning.utils.text import as_far_as_it_is_read, print_what_can_be_printed, printable
from ser_lightning.utils.user import name_user


class Group(click.Group):
    """A group of subcommands; without one it shows its help, and for a mistyped one it names those there are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            guess = did_you_mean(args[0], known)
            ctx.fail(f"`{ctx.command_path}` knows no {args[0]}{guess} (known: {', '.join(known)}).")
        return super().resolve_command(ctx, args)


class Program(Group):
    """The outermost group, which ends whatever goes wrong inside in a line and an exit status."""

    def main(self, *args: Any, **options: Any) -> None:  # type: ignore[override]
        atexit.register(gc.freeze)  # no search for cycles among what goes anyway: most of a second
        name_user()
        print_what_can_be_printed()
        with signals.caught(), as_far_as_it_is_read(), _remarks_on_stderr():
            try:
                status = super().main(*args, **{**options, "standalone_mode": False})
            except BrokenPipeError:
                raise
            except (Exception, KeyboardInterrupt) as error:
                status = explain(error)
        sys.exit(status)


@contextmanager
def _remarks_on_stderr() -> Iterator[None]:
    """Show in plain words what this package logs, and not what libraries log or warn of."""
    logger, root = logging.getLogger("ser_lightning"), logging.getLogger()
    screen, nowhere = _Screen(), logging.NullHandler()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(screen)
    root.addHandler(nowhere)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(nowhere)
        logger.removeHandler(screen)
        logger.setLevel(before)


class _Screen(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(printable(record.getMessage(), lines=True), err=True)


def explain(error: BaseException) -> int:
    """Say why it failed, and what may help. Returns the exit status."""
    if os.environ.get("SER_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, click.Abort) or is_interrupt(error):
        click.echo(f"stopped: {why(error) if is_interrupt(error) else 'interrupted'}", err=True)
        return 128 + (signals.received() or signal.SIGINT)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"failed: {error.format_message()} See `{error.ctx.command_path} --help`.", err=True)
    elif isinstance(error, click.ClickException):
        click.echo(f"failed: {error.format_message()}", err=True)
    elif isinstance(error, OSError) and error.strerror and not is_full(error):
        which = f": {printable(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
        click.echo(f"failed: {error.strerror}{which}", err=True)
    else:
        click.echo(printable(f"failed: {why(error)}", lines=True), err=True)
    return 1
