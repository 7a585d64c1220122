"""Download a corpus in parallel and resumably: every byte is checked, and a file is there in full or not at all."""

from ser_lightning.data.download.fetch import default_folder, download
from ser_lightning.data.download.transfer import Patience

__all__ = ["Patience", "default_folder", "download"]
