"""Download a corpus: in parallel, resumable, every byte checked, whole files or none."""

from ser_lightning.data.download.fetch import default_folder, download
from ser_lightning.data.download.transfer import Patience

__all__ = ["Patience", "default_folder", "download"]
