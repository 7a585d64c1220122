"""What `make bench` measures. Imports `training` and below."""
