"""Where the project lies: the checkout that holds this package, with its configs and ``train.py`` beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
TRAIN_PY = ROOT / "train.py"
