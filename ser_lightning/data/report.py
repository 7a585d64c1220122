"""What preparation found: files that cannot be used, and clips that can but look wrong."""

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ser_lightning.data.manifest import Manifest
from ser_lightning.data.scan import BadFile
from ser_lightning.errors import counted, some

_NAMED = 20  # bad files a message names


@dataclass(frozen=True, kw_only=True)
class Report:
    """The findings of one preparation of the files under ``folder``."""

    folder: str
    n_files: int
    bad: tuple[BadFile, ...]
    silent: tuple[str, ...] = ()
    duplicate_audio: tuple[tuple[str, ...], ...] = ()
    n_missing: int = 0
    copies: tuple[str, ...] = ()  # files that hold a clip once more, byte for byte

    def warnings(self) -> dict[str, int]:
        """How many clips show each oddity, the ones that none shows left out."""
        counts = {
            "silent": len(self.silent),
            "duplicate_audio": sum(len(group) for group in self.duplicate_audio),
            "missing": self.n_missing,
            "copies": len(self.copies),
            "excluded": len(self.bad),
        }
        return {kind: count for kind, count in counts.items() if count}

    def lines(self) -> list[str]:
        """The oddities in words, a line each."""
        lines = []
        if self.n_missing:
            lines.append(f"{counted(self.n_missing, 'clip')} of the corpus missing: results are on a part of it")
        if self.silent:
            lines.append(f"{counted(self.silent, 'silent clip')}: {some(self.silent)}")
        if self.duplicate_audio:
            pairs = [" = ".join(group) for group in self.duplicate_audio]
            lines.append(f"{counted(pairs, 'sound')} under more than one name: {some(pairs)}")
        if self.copies:
            lines.append(f"{counted(self.copies, 'file')} there twice, counted once: {some(self.copies)}")
        if self.bad:
            lines.append(f"{counted(self.bad, 'unusable file')} left out: {some([bad.path for bad in self.bad])}")
        return lines

    def complaint(self, whole_list: Path) -> str:
        """Every bad file by reason, and what can be done; more than ``_NAMED`` go to the file ``whole_list``."""
        by_reason = defaultdict(list)
        for bad in self.bad:
            by_reason[bad.reason].append(bad.path)
        lines = [f"{len(self.bad)} of {counted(self.n_files, 'file')} in {self.folder} cannot be used:"]
        n_each = _NAMED if len(self.bad) <= _NAMED else 5
        lines += [f"  {some(paths, n_each)}: {reason}" for reason, paths in list(by_reason.items())[:_NAMED]]
        if len(self.bad) > _NAMED:
            text = "".join(f"{bad.path}: {bad.reason}\n" for bad in self.bad)
            with suppress(OSError):  # a cache that can be read and not written
                whole_list.write_text(text, encoding="utf-8")
                lines.append(f"  all of them: {whole_list}")
        return "\n".join([*lines, "Mend or remove them, or go on without them with data.on_bad=exclude."])

    def write_json(self, path: Path) -> None:
        """Write the report."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def read_json(cls, path: Path) -> "Report":
        """Read what `write_json` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            folder=fields["folder"],
            n_files=fields["n_files"],
            bad=tuple(BadFile(**bad) for bad in fields["bad"]),
            silent=tuple(fields["silent"]),
            duplicate_audio=tuple(tuple(group) for group in fields["duplicate_audio"]),
            n_missing=fields["n_missing"],
            copies=tuple(fields["copies"]),
        )


def write_excluded_csv(path: Path, reports: Sequence[Report]) -> None:
    """Write the bad files, folder, path and reason; nothing where there are none."""
    rows = [(report.folder, bad.path, bad.reason) for report in reports for bad in report.bad]
    if rows:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["folder", "path", "reason"])
            writer.writerows(rows)


def duplicate_audio(manifest: Manifest) -> tuple[tuple[str, ...], ...]:
    """Groups of ids whose decoded samples are the same, bit for bit."""
    return tuple(tuple(manifest[row].id for row in group) for group in manifest.same_sound())
