"""Programs for other virtual environments: each asks a server with one client and prints what it was told."""
