"""Trained models at work, without Lightning, which takes seconds to import."""
