"""What `make bench` and `ser models` measure. Imports `training` and below."""
