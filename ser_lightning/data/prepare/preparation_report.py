"""Report what preparation found: files that cannot be used, and clips that look wrong."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ser_lightning.data.manifest import Manifest
from ser_lightning.data.prepare.scan import BadFile
from ser_lightning.utils.errors import counted, some
from ser_lightning.utils.files import written_whole

SQUARE_WAVES = "clipped for the most part, as floats beyond -1 and 1 are (divide 16-bit values by 32,768)"
SHORT_S = 0.3  # a clip that is shorter is hardly a word
CLIPPED_SHARE = 0.001  # of a file's samples that lie in flat tops
SQUARE_SHARE = 0.5  # no recording that is only too loud is cut off so much of the time
_NAMED = 20  # bad files a message names


@dataclass(frozen=True, kw_only=True)
class Report:
    """A record of what preparation found in the files under ``folder``."""

    folder: str
    n_files: int
    bad: tuple[BadFile, ...]
    silent: tuple[str, ...] = ()
    duplicate_audio: tuple[tuple[str, ...], ...] = ()
    n_missing: int = 0
    copies: tuple[str, ...] = ()  # files that hold a clip once more, byte for byte
    padded: tuple[str, ...] = ()  # clips of one and the same length that end in zeros
    clipped: tuple[str, ...] = ()  # more than `CLIPPED_SHARE` of the samples at full scale
    square_waves: tuple[str, ...] = ()  # of these, what is little else: floats that are not in [-1, 1]

    def warnings(self) -> dict[str, int]:
        """Count clips with a warning, by kind; kinds without any are left out."""
        counts = {
            "silent": len(self.silent),
            "clipped": len(self.clipped),
            "square_waves": len(self.square_waves),
            "duplicate_audio": sum(len(group) for group in self.duplicate_audio),
            "missing": self.n_missing,
            "copies": len(self.copies),
            "padded": len(self.padded),
            "excluded": len(self.bad),
        }
        return {kind: count for kind, count in counts.items() if count}

    def lines(self) -> list[str]:
        """Return the warnings in words, a line each."""
        lines = []
        if self.n_missing:
            lines.append(f"{counted(self.n_missing, 'clip')} of the corpus missing: results are on a part of it")
        if self.silent:
            lines.append(f"{counted(self.silent, 'silent clip')}: {some(self.silent)}")
        if self.clipped:
            extent = f"more than {CLIPPED_SHARE:.1%} of the samples at full scale"
            lines.append(f"{counted(self.clipped, 'clipped clip')}, {extent}: {some(self.clipped)}")
        if self.square_waves:
            lines.append(f"{len(self.square_waves)} of these are {SQUARE_WAVES}: {some(self.square_waves)}")
        if self.duplicate_audio:
            groups = [" = ".join(ids) for ids in self.duplicate_audio]
            lines.append(f"{counted(groups, 'sound')} under more than one name: {some(groups)}")
        if self.copies:
            lines.append(f"{counted(self.copies, 'file')} there twice, counted once: {some(self.copies)}")
        if self.padded:
            lines.append(f"{counted(self.padded, 'clip')} of equal length, padded with zeros: {some(self.padded)}")
        if self.bad:
            lines.append(f"{counted(self.bad, 'unusable file')} left out: {some([bad.path for bad in self.bad])}")
        return lines

    def complaint(self, full_list: Path) -> str:
        """Return the bad files by reason, and the remedy; all go to ``full_list`` where they are many."""
        by_reason = defaultdict(list)
        for bad in self.bad:
            by_reason[bad.reason].append(bad.named)
        lines = [f"{len(self.bad)} of {counted(self.n_files, 'file')} in {self.folder} cannot be used:"]
        n_named = _NAMED if len(self.bad) <= _NAMED else 5
        lines += [f"  {some(paths, n_named)}: {reason}" for reason, paths in list(by_reason.items())[:_NAMED]]
        if len(self.bad) > _NAMED:
            text = "".join(f"{bad.named}: {bad.reason}\n" for bad in self.bad)
            with suppress(OSError):  # a cache that can be read and not written
                full_list.write_text(text, encoding="utf-8", errors="backslashreplace")
                lines.append(f"  all of them: {full_list}")
        return "\n".join([*lines, "Mend or remove them, or go on without them with data.on_bad=exclude."])


def clipped(manifest: Manifest, share: float = CLIPPED_SHARE) -> tuple[str, ...]:
    """Return the ids of clips of which more than this share of the source's samples is clipped."""
    return tuple(
        row.id
        for row in manifest
        if row.n_clipped > share * row.duration_s * row.source_rate_hz * row.source_channels
    )


def square_waves(manifest: Manifest) -> tuple[str, ...]:
    """Return the ids of clips that are cut off most of the time, as floats in the range of integers are."""
    return clipped(manifest, SQUARE_SHARE)


def write_excluded_csv(path: Path, reports: Sequence[Report]) -> None:
    """Write the bad files, folder, path and reason; nothing where there are none."""
    rows = [(report.folder, bad.path, bad.reason) for report in reports for bad in report.bad]
    if rows:
        with written_whole(path) as file:
            writer = csv.writer(file)
            writer.writerow(["folder", "path", "reason"])
            writer.writerows(rows)


def duplicate_audio(manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """Return groups of ids whose decoded samples are the same, bit for bit."""
    return tuple(tuple(manifest[row].id for row in group) for group in manifest.same_sound())
