"""Make random generators by name."""

import hashlib

import numpy as np


def stable_rng(seed: int, name: str) -> np.random.Generator:
    """Return a generator that depends on nothing but its arguments: not on order, process or Python's hash seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int.from_bytes(digest[:16], "big"))))
