"""Whose labels a model is trained on and tested by, as ``data.labels`` and results name it."""

INTENDED = "intended"  # what the corpus calls a clip
MAJORITY = "votes_majority"  # what most annotators chose
SOFT = "votes_soft"  # trained on the shares of their votes, tested by the majority
LABEL_SOURCES = (INTENDED, MAJORITY, SOFT)
_FORMER = {"voice_votes": MAJORITY, "voice_soft": SOFT}


def current_name(name: str) -> str:
    """Return the name of today of what older configs and results call otherwise."""
    return _FORMER.get(name, name)
