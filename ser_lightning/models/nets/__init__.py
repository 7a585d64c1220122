"""One file a network; each is found by its name in conf/model."""
