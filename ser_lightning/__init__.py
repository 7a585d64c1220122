"""Speech emotion recognition experiments: PyTorch Lightning, Hydra, honest protocols."""

__version__ = "0.1.0"
