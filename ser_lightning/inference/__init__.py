"""Run trained models, without Lightning, which takes seconds to import.

Recordings or clips come in, probabilities go out. Imports `models` and below.
"""
