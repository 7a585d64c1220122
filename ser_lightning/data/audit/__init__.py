"""Looks a corpus and its splits over: what is there, what is suspect, what leaks."""
