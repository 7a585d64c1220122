"""One run as a person reads it: console, figures, model card.

A run directory comes in, text and pictures go out. Imports `data` and below.
"""
