"""The run directory: its files, the typed result, predictions, environment, and reading a finished run.

A directory comes in, values go out. Imports `tasks` and below.
"""
