"""Takes audio files to batches: corpora, preparation, labels, splits, audit, and the LightningDataModule.

Files come in, `Batch`es and facts on clips go out. Imports `runs` and below.
"""
