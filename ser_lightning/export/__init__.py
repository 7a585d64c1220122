"""Trained models as files for other runtimes.

Imports `inference` and below.
"""
