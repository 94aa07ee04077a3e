"""Programs for other virtual environments: each makes, or is, a small model for one kind of server."""
