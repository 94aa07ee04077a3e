"""What can be wrong with a database, whatever was asked of it."""

from __future__ import annotations


class StoreError(Exception):
    """The database cannot be opened, read or brought up to date; the text says what would do."""


class FencedError(Exception):
    """Another control process leads now; what was to be written is not."""
