"""What `ser` can do, a file for each group of commands and one for what each of the larger ones does."""
