"""Find, decode and pack a corpus once: scan, decoding, truncation checks, resampling, the cache."""
