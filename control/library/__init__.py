"""Headgate from scripts and notebooks: the same store as the commands, and no server needed."""
