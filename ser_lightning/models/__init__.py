"""Networks and what surrounds them: front-end, augmentation, speaker statistics, the LightningModule.

Waveforms (B, T) come in, logits (B, K) go out. Imports `data` and below.
"""
