"""One file for each command; `control.cli.catalogue` says which."""
