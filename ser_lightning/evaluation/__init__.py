"""Numbers from arrays: metrics, bootstrap, tests over speakers, calibration, subgroups, robustness.

Arrays and names come in, plain values go out. Imports `utils` alone.
"""
