"""Audits a corpus and its splits: what is there, what looks wrong, what leaks from training into the test."""
