"""Results that ship with the package, to compare runs with: a file a model, in this folder.

Finished runs come in, a file goes out, which is read back as the same runs. Imports `compare` and below.
"""
