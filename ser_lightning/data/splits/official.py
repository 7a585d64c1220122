"""Rules for the splits that corpora come with."""

from collections.abc import Sequence

from ser_lightning.data.manifest import Manifest
from ser_lightning.data.splits.split import SUBSETS
from ser_lightning.utils.errors import UserError


class OfficialParts:
    """A corpus's own partition: the clips' column ``fold`` names the part of each. There is one fold.

    Args:
        train: names of the parts that are trained on.
        val: of those that validate.
        test: of those that are tested on. Clips of parts that none of the three names are not used.
        speaker_independent: what the partition promises; False where speakers are on two sides.
    """

    def __init__(
        self,
        *,
        train: Sequence[str],
        val: Sequence[str],
        test: Sequence[str],
        speaker_independent: bool = True,
    ):
        self._subset_of: dict[str, str] = {}
        for subset, names in zip(SUBSETS, (train, val, test), strict=True):
            for name in names:
                if self._subset_of.setdefault(name, subset) != subset:
                    raise UserError(f"the part {name} is in two subsets of a split")
        self.speaker_independent = speaker_independent

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return the only one."""
        return (0,)

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the subset of each clip. Raises: UserError where the clips name none of the parts."""
        subsets = [self._subset_of.get(row.fold, "") for row in manifest]
        if not any(subsets):
            raise UserError(f"no clip is of the parts {', '.join(self._subset_of)} of the corpus's own split")
        return subsets


class SpeakerPairs:
    """Pairs of speakers who were recorded together: of one, a speaker tests and the other validates; others train.

    Folds 0 and 1 are of the first pair, 2 and 3 of the second, and so on.
    """

    speaker_independent = True

    def __init__(self, *, pairs: Sequence[Sequence[str]]):
        """``pairs``: the two speakers of each; the first of them tests in the first of its folds."""
        self._pairs = [tuple(pair) for pair in pairs]
        speakers = [name for pair in self._pairs for name in pair]
        if any(len(pair) != 2 for pair in self._pairs) or len(set(speakers)) < len(speakers):
            raise UserError("a split by pairs of speakers needs two in each, and nobody in two of them")

    def folds(self, manifest: Manifest) -> Sequence[int]:
        """Return two folds for each pair."""
        return range(2 * len(self._pairs))

    def assign(self, manifest: Manifest, fold: int) -> list[str]:
        """Return the subset of each clip. Raises: UserError for a speaker in none of the pairs."""
        unknown = sorted(set(manifest.column("speaker")) - {name for pair in self._pairs for name in pair})
        if unknown:
            raise UserError(f"speakers in no pair of the split: {', '.join(unknown)}; data.split=kfold takes any")
        pair, tested = divmod(fold, 2)
        roles = {self._pairs[pair][tested]: "test", self._pairs[pair][1 - tested]: "val"}
        return [roles.get(row.speaker, "train") for row in manifest]
