"""Tools of every room: errors for people, atomic files, text, signals, precision, what a file may make.

Nothing of this package is imported here.
"""
