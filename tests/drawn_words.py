"""What can be asked of the texts in a picture."""

from collections.abc import Iterable

from matplotlib.text import Text


def apart(texts: Iterable[Text]) -> bool:
    """Whether no two of them overlap."""
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
