"""What `ser` can do, a file a subcommand. Imports every room below; `cli` imports this alone."""
