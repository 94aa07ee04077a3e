"""Who did what: immutable events."""
