"""Splits clips into train, validation and test: rules by name, and the three subsets with their hash."""
