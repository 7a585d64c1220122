"""The `ser` command. A subcommand imports what it needs when it runs, so that help and lists answer at once.

Results go to stdout; progress, remarks and failures to stderr. It ends with 0, with 1 after a failure, which is one
clear line, and with 130 after Ctrl-C.
"""

import click

from ser_lightning.commands import data, definitions, experiments
from ser_lightning.commands.program import Program


@click.group(cls=Program)
def main() -> None:
    """Speech emotion recognition: look after corpora, measure models, compare runs, use what was trained.

    Training is `python train.py`. SER_TRACEBACK=1 shows where a failure comes from.
    """


for command in (
    data.data,
    experiments.models,
    experiments.compare,
    definitions.evaluate,
    definitions.calibrate,
    definitions.predict,
    definitions.export,
    definitions.demo,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
