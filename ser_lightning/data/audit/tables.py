"""Prints an audit: tables, findings, and whether it passed."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ser_lightning.data.audit.corpus_audit import Audit, Count, Spread
from ser_lightning.data.audit.folds import SplitAudit
from ser_lightning.data.audit.speakers import similarity_table
from ser_lightning.data.corpora.corpus import SYNTHETIC
from ser_lightning.data.manifest import speakers_not_known
from ser_lightning.data.splits.split import SUBSETS
from ser_lightning.utils.errors import counted
from ser_lightning.utils.terminal import number_table

_NAMED = {"error": 6, "warning": 6, "note": 2}  # names a finding shows
_FOLDS = 10  # of a split that are shown in an audit; of one that has more, the first few
_FIRST_FOLDS = 3
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_CHANNELS = {1: "mono", 2: "stereo"}


def print_audit(audit: Audit, console: Console) -> None:
    """Print what is there, what each split lets through, the findings, and last whether it passed."""
    console.print(Text(audit.title, style="bold"))
    for line in (*audit.folders, *_overview(audit)):
        console.print(line, soft_wrap=True)
    _print_section(console, [_target_table(audit) if audit.targets else _label_table(audit)])
    for split in audit.splits:
        if split.folds:
            _print_section(console, _leaks(split))
    if audit.speaker_similarity is not None:
        _print_section(console, similarity_table(audit.speaker_similarity))
    _print_section(console, [_findings(audit)])
    n_warnings = counted(len(audit.of("warning")), "warning")
    if audit.passed:
        outcome = Text(f"passed, with {n_warnings}", style="bold green")
    else:
        outcome = Text(f"failed: {counted(len(audit.of('error')), 'error')}, {n_warnings}", style="bold red")
    _print_section(console, [outcome])


def print_splits(splits: Sequence[SplitAudit], labels: Sequence[str], console: Console) -> None:
    """Print every fold of every split: sizes, speakers, sex, classes and hash."""
    for number, split in enumerate(splits):
        _print_section(console, _folds(split, labels, console), gap=number > 0)


def _print_section(console: Console, parts: Iterable[RenderableType], *, gap: bool = True) -> None:
    """Print parts one under the other, after an empty line."""
    if gap:
        console.print()
    for part in parts:
        console.print(part)


def _overview(audit: Audit) -> Iterator[str]:
    """Yield lines on how much there is, from whom, and in which formats."""
    sexes = ", ".join(f"{n} {sex}" for sex, n in audit.speakers_by_sex.items())
    of_sexes = f" ({sexes})" if set(audit.speakers_by_sex) - {"unknown"} else ""
    seconds = audit.total_s
    length = f"{seconds:.0f} s"
    if seconds >= 60:
        length = f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
    yield f"{_of(audit.clips, 'clip')}, {_of(audit.speakers, 'speaker')}{of_sexes}, {length}"
    formats = []
    for source in audit.formats:
        channels = _CHANNELS.get(source.channels, f"{source.channels} channels")
        formats.append(f"{source.rate_hz / 1000:g} kHz {channels} × {source.n_clips:,}")
    lengths = audit.duration_s
    yield f"{', '.join(formats)}; {lengths.min:.1f} to {lengths.max:.1f} s, median {lengths.median:.1f} s"
    if audit.synthetic:
        yield SYNTHETIC


def _target_table(audit: Audit) -> Table:
    """Return how the numbers that are to be predicted are spread, and over how many clips of how many speakers."""
    table = number_table("target", numbers=("clips", "lowest", "mean", "sd", "highest", "clips a speaker"), gap=3)
    for name, target in audit.targets.items():
        numbers = [f"{number:.4g}" for number in (target.min, target.mean, target.sd, target.max)]
        table.add_row(name, f"{audit.clips.found:,}", *numbers, _spread(audit.clips_per_speaker))
    return table


def _label_table(audit: Audit) -> Table:
    """Return classes against sexes and speakers, with the expected clips where other ones are there."""
    sexes = list(audit.speakers_by_sex)
    labels = audit.labels.values()
    differs = any(label.clips.expected not in (None, label.clips.found) for label in labels)
    table = number_table("class", numbers=("clips", *["expected"] * differs, *sexes, "clips a speaker"), gap=3)
    total_by_sex = {sex: sum(label.clips_by_sex.get(sex, 0) for label in labels) for sex in sexes}
    rows = [
        (name, label.clips, label.clips_by_sex, label.clips_per_speaker) for name, label in audit.labels.items()
    ]
    for name, clips, by_sex, per_speaker in (*rows, ("all", audit.clips, total_by_sex, audit.clips_per_speaker)):
        expected = ["–" if clips.expected is None else f"{clips.expected:,}"] * differs
        numbers = [f"{by_sex.get(sex, 0):,}" for sex in sexes]
        table.add_row(name, f"{clips.found:,}", *expected, *numbers, _spread(per_speaker))
    table.rows[-1].style = "bold"
    return table


def _leaks(split: SplitAudit) -> Iterator[RenderableType]:
    """Yield a table of how much of each fold's test set was in training too."""
    yield _promise(split)
    headings = "train", "val", "test", "speakers\nin train", "speaker and\nsentence", "sounds on\ntwo sides"
    table = number_table("fold", numbers=headings)
    table.add_column("hash", no_wrap=True)
    n_shown = len(split.folds) if len(split.folds) <= _FOLDS else _FIRST_FOLDS
    for fold in split.folds[:n_shown]:
        sizes = [f"{subset.n_clips:,}" for subset in fold.subsets.values()]
        leaks = [
            f"{fold.n_trained_speakers} of {len(fold.test.speakers)}",
            f"{fold.n_trained_readings:,} of {fold.n_readings:,}" if fold.n_readings else "–",
            str(len(fold.torn_duplicates)),
        ]
        broken = split.speaker_independent and fold.leaks
        table.add_row(str(fold.fold), *sizes, *leaks, fold.hash, style="bold red" if broken else "")
    yield table
    if n_shown < split.n_folds:
        n_left = counted(split.n_folds - n_shown, "more fold")
        yield Text(f"and {n_left}, which `ser data splits` shows", style="dim")


def _folds(split: SplitAudit, labels: Sequence[str], console: Console) -> Iterator[RenderableType]:
    """Yield what a split says of itself, a table of its folds as wide as fits, and their hashes."""
    yield _promise(split)
    if split.trouble:
        yield Text(split.trouble)
        return
    n_letters = 3
    while len({label[:n_letters] for label in labels}) < len(set(labels)):
        n_letters += 1
    short = [label[:n_letters] for label in labels]
    unlimited = console.options.update(max_width=10_000)
    for headings, gap in ((labels, 2), (short, 2), (short, 1)):
        table = _fold_table(split, labels, headings, gap)
        if console.measure(table, options=unlimited).maximum <= console.width:
            break
    yield table
    hashes = Table.grid(padding=(0, 2, 0, 0))
    for row, fold in enumerate(split.folds):
        hashes.add_row("hash of fold" if row == 0 else "", str(fold.fold), fold.hash)
    yield hashes


def _fold_table(split: SplitAudit, labels: Sequence[str], headings: Sequence[str], gap: int) -> Table:
    """Return a row for each subset of each fold; ``headings`` stand for the labels."""
    sexes = sorted({sex for fold in split.folds for subset in fold.subsets.values() for sex in subset.clips_by_sex})
    table = number_table("fold", numbers=("subset", "clips", "speakers", *sexes, *headings), gap=gap)
    table.columns[1].justify = "left"
    for fold in split.folds:
        for name, subset in fold.subsets.items():
            by_sex = [f"{subset.clips_by_sex.get(sex, 0):,}" for sex in sexes]
            by_label = [f"{subset.clips_by_label[label]:,}" for label in labels]
            number = str(fold.fold) if name == SUBSETS[0] else ""
            table.add_row(number, name, f"{subset.n_clips:,}", str(len(subset.speakers)), *by_sex, *by_label)
    return table


def _promise(split: SplitAudit) -> Text:
    """Return what a split says of itself, and whether that is so."""
    if split.trouble:
        return Text(f"split {split.name}: cannot be made", style="yellow")
    if not split.keeps_its_promise:
        return Text(f"split {split.name}: declared speaker-independent, and is not", style="bold red")
    if split.shares_test_speakers:
        return Text(f"split {split.name}: SPEAKERS SHARED between training and test", style="bold yellow")
    if split.n_unknown and not split.speaker_independent:
        return Text(f"split {split.name}: {speakers_not_known(split.n_unknown)}", style="bold yellow")
    known = ", as far as they are known" if split.n_unknown else ""
    return Text(f"split {split.name}: no test speaker is in training{known}", style="bold")


def _findings(audit: Audit) -> Table:
    """Return the findings with their first names: in a row, or a line each where they are more than a word."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=7)
    grid.add_column(overflow="fold")
    for finding in (*audit.of("error"), *audit.of("warning"), *audit.of("note")):
        n_shown = _NAMED[finding.severity]
        names, n_left = list(finding.names[:n_shown]), len(finding.names) - n_shown
        in_lines = any(" " in name for name in names)
        if n_left > 0:
            names.append(f"and {n_left:,} more, which --json lists")
        text = finding.text
        if in_lines:
            text = "\n  ".join([f"{text}:", *names])
        elif names:
            text = f"{text}: {', '.join(names)}"
        grid.add_row(Text(finding.severity, style=_STYLES[finding.severity]), Text(text))
    return grid


def _of(count: Count, noun: str) -> str:
    """Return how many there are, and of how many, where others are expected."""
    if count.expected is None or count.expected == count.found:
        return counted(count.found, noun)
    return f"{count.found:,} of {counted(count.expected, noun)}"


def _spread(spread: Spread) -> str:
    if spread.min == spread.max:
        return f"{spread.median:g}"
    return f"{spread.min:g} to {spread.max:g}, median {spread.median:g}"
