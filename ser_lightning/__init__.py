"""Speech emotion recognition experiments: PyTorch Lightning, Hydra, honest protocols."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_lightning.inference.recognizer import EmotionRecognizer, Prediction, Segment, load_model
    from ser_lightning.inference.windows import Windows

__version__ = "0.1.0"
__all__ = ["EmotionRecognizer", "Prediction", "Segment", "Windows", "load_model"]


def __getattr__(name: str) -> Any:
    """What is public, imported when first asked for: the package itself takes no time."""
    if name in __all__:
        from ser_lightning.inference import recognizer, windows

        return getattr(windows if name == "Windows" else recognizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
