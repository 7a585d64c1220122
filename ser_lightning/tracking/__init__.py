"""Weights & Biases: a run, a comparison, and what the environment says of both.

Imports `compare` and below; whatever fails here costs no training.
"""
