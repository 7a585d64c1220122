"""The subcommands of `ser`, one file each, named as typed. Imports every room below; `cli` imports this alone."""
