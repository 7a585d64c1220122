"""The `ser` command. A subcommand imports what it needs when it runs, so that help and lists answer at once.

Results go to stdout; progress, remarks and failures to stderr. It ends with 0, with 1 after a failure, which is one
clear line, and with 130 after Ctrl-C.
"""

import click

from ser_lightning import __version__
from ser_lightning.commands.calibrate import calibrate
from ser_lightning.commands.compare import compare
from ser_lightning.commands.data import data
from ser_lightning.commands.demo import demo
from ser_lightning.commands.eval import evaluate
from ser_lightning.commands.export import export
from ser_lightning.commands.models import models
from ser_lightning.commands.predict import predict
from ser_lightning.commands.program import Program
from ser_lightning.commands.reference import reference


@click.group(cls=Program)
@click.version_option(__version__, prog_name="ser")
def main() -> None:
    """Speech emotion recognition: prepare corpora, measure and compare models, use trained ones.

    Training is `python train.py`. SER_TRACEBACK=1 shows where a failure comes from.
    """


for command in (data, models, compare, reference, evaluate, calibrate, predict, export, demo):
    main.add_command(command)

if __name__ == "__main__":
    main()
