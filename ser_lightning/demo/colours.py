"""Choose the colours of the classes and of the picture around them, on light and on dark."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import colormaps
from matplotlib.colors import to_hex


@dataclass(frozen=True, kw_only=True)
class Theme:
    """What a picture is drawn with; ``classes`` tell eight classes apart, in this order."""

    name: str
    paper: str
    ink: str
    muted: str
    faint: str
    wave: str
    on_class: str
    spectrum: str
    classes: Sequence[str]

    def of_class(self, number: int, n_classes: int) -> str:
        """Return a class's colour; more than eight are spread over a rainbow."""
        if n_classes <= len(self.classes):
            return self.classes[number]
        return to_hex(colormaps["turbo"]((number + 0.5) / n_classes))


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1b2430",
    muted="#55606e",
    faint="#dde3ea",
    wave="#245795",
    on_class="#ffffff",
    spectrum="Blues",
    classes="#245795 #c9601a #1f8a7a #8e4a9b #8a6a00 #2f86bd #b03060 #5b6673".split(),
)
DARK = Theme(
    name="dark",
    paper="#12161c",
    ink="#e6eaf0",
    muted="#a3aebb",
    faint="#2b333d",
    wave="#7eb0f0",
    on_class="#12161c",
    spectrum="magma",
    classes="#7eb0f0 #f0924a #4fc2af #cb98dc #d6b04a #5cc3f2 #f2789f #aab4c0".split(),
)
