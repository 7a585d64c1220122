"""Write docs/leaderboard.md: a table for each protocol, made from the references and nothing else."""

from collections.abc import Iterator, Sequence

from ser_lightning.compare.comparison import Comparison
from ser_lightning.compare.protocol import sections
from ser_lightning.compare.ranking import compare
from ser_lightning.compare.read import RunsRead
from ser_lightning.compare.tables import headline
from ser_lightning.reference.files import Reference
from ser_lightning.reference.fitting import with_all_folds
from ser_lightning.reference.record import command
from ser_lightning.report.metric_style import headline_style, headline_title
from ser_lightning.report.numbers import MISSING, minutes, short
from ser_lightning.report.protocol import known_of_speakers
from ser_lightning.report.table_cells import markdown
from ser_lightning.utils.errors import counted

_HEAD = """# Leaderboard

Results that ship with the package, each of a model on every clip of a test: `ser compare RUN_DIR --reference`
tests yours against them. This page is made of their files by `ser reference leaderboard`; no number in it is
written by hand.

Numbers under different protocols do not rank each other: there is a table for each corpus, split and
protocol. UAR and accuracy are in per cent, of the clips of all folds together, mean over seeds, in brackets
the 95 % interval by a bootstrap over speakers. A single seed says nothing about the spread over seeds.
Parameters are those that were trained; minutes are those of the training steps of a run (a fold) on the
device that is named, and of little meaning between devices. Each command is for one fold and seed:
`data.fold=…` and `seed=…` choose them, `data.root=DIR` says where the corpus lies, and …/NAME stands for a
directory of your own. Defaults may have changed since the commit that is named; every file holds all
settings.
"""
_TAIL = """## Add a row

Train every fold of a split, with one seed or more, on the whole corpus, and pack the runs:

```
python train.py -m model=cnn data=cremad 'data.fold=range(5)' seed=0 hydra.sweep.dir=outputs/sweeps/mine
ser reference add outputs/sweeps/mine --name my-cnn
ser reference leaderboard > docs/leaderboard.md
```

The second command refuses runs that are unfinished or cut short, that share speakers or sounds between
training and test, that differ in more than fold and seed, or whose clips are not those of the split; it says
which, and what to do. It keeps ids of clips, labels, probabilities in steps of 1/255, scores, settings,
versions and the device's name; no sound, and no place on your machine. Open a pull request with the new file
in `ser_lightning/reference/`, this page, and the code of a new model. The tests read every file again and
check its scores, its size (150 kB at most) and this page.
"""


def leaderboard(references: Sequence[Reference]) -> str:
    """Return the page. References without some fold of their split are listed below a table, and not ranked."""
    families = sections([run for reference in references for run in reference.runs], separate=True)
    by_protocol = sorted(families, key=lambda runs: (runs[0].result.protocol.corpus, runs[0].result.protocol.split))
    parts = [_HEAD]
    for family in by_protocol:
        members = [reference for reference in references if reference.runs[0] in family]
        parts.append("\n".join(_section(members)) + "\n")
    return "\n".join([*parts, _TAIL])


def _section(references: Sequence[Reference]) -> Iterator[str]:
    """Yield the lines of a protocol: what it is, those with all folds ranked, those with some, remarks."""
    compared = {reference.name: compare(RunsRead(with_all_folds(reference.runs)))[0] for reference in references}
    ranked = sorted(
        references, key=lambda reference: (-compared[reference.name].groups[0].headline.value, reference.name)
    )
    # the one that is tested on the most folds says which clips all of them are of
    fullest = max(compared.values(), key=lambda comparison: len(comparison.groups[0].folds))
    protocol = fullest.protocol
    known = known_of_speakers(protocol.get("speaker_clips"))
    yield f"## {protocol['corpus']}, {protocol['split']}{f', {known}' if known else ''}"
    yield ""
    yield f"{markdown(headline(fullest))}. Clips of the folds: {protocol['split_hash']}."
    complete = [reference for reference in ranked if reference.complete]
    incomplete = [reference for reference in ranked if not reference.complete]
    if complete:
        yield ""
        yield from _table(complete, compared, first_column="rank")
    if incomplete:
        yield ""
        yield "Tested on some of the folds alone, and so not ranked:"
        yield ""
        yield from _table(incomplete, compared, first_column="folds")
    remarks = list(_remarks(ranked))
    if remarks:
        yield ""
        yield from remarks


def _table(references: Sequence[Reference], compared: dict[str, Comparison], *, first_column: str) -> Iterator[str]:
    """Yield the lines of a table with a row a reference."""
    task = next(iter(compared.values())).task
    second = task.metrics[task.second].title
    headings = [first_column, "reference", headline_title(task), second, "parameters", "minutes", "seeds"]
    yield f"| {' | '.join([*headings, 'command'])} |"
    yield "|--:|---|--:|--:|--:|--:|---|---|"
    for rank, reference in enumerate(references, start=1):
        group, environment = compared[reference.name].groups[0], reference.runs[0].result.environment
        device = markdown((environment.device if environment else None) or "unknown device")
        seeds = ", ".join(map(str, group.seeds))
        cells = [
            str(rank) if first_column == "rank" else ", ".join(group.folds),
            f"`{reference.name}`",
            *[headline_style(task).bracketed(group.scores[name]) for name in (task.headline, task.second)],
            _parameters(reference),
            f"{minutes(group.minutes)}, {device}",
            f"single seed ({seeds})" if len(group.seeds) == 1 else f"{len(group.seeds)} ({seeds})",
            _command(reference),
        ]
        yield f"| {' | '.join(cells)} |"


def _command(reference: Reference) -> str:
    """Return how it is repeated, and at which commit, as far as its runs say."""
    text = command(reference.runs).replace("|", "\\|")
    environment = reference.runs[0].result.environment
    commit = (environment.commit if environment else None) or ""
    return (f"`{text}`" if text else "not recorded") + (f" at {commit[:7]}" if commit else "")


def _parameters(reference: Reference) -> str:
    """Return how many parameters were trained, and on an encoder of how many."""
    model = reference.runs[0].result.model
    text = short(model.parameters) if model.parameters is not None else MISSING
    if model.pretrained is not None:
        text = f"{text}, on {short(model.pretrained.parameters)} {model.pretrained.mode}"
    return text.replace("\u00a0", " ")


def _remarks(references: Sequence[Reference]) -> Iterator[str]:
    """Yield a line for each reference with runs that are left out, and for each that may have had the corpus."""
    for reference in references:
        counting = with_all_folds(reference.runs)
        others = [run for run in reference.runs if run not in counting]
        if others:
            cells = ", ".join(f"fold {run.fold} seed {run.seed}" for run in others)
            yield (
                f"- `{reference.name}` also holds {counted(others, 'run')} of seeds that lack folds ({cells}), "
                "which count in comparisons on these folds alone."
            )
    names: dict[str, list[str]] = {}
    for reference in references:
        if reference.runs[0].result.contamination:
            names.setdefault(reference.runs[0].result.contamination, []).append(f"`{reference.name}`")
    for contamination, those in names.items():
        yield f"- {', '.join(those)}: {markdown(contamination)}."
