"""What can be wrong with a database, whatever was asked of it."""

from __future__ import annotations

from control.errors import HeadgateError


class StoreError(HeadgateError):
    """The database cannot be opened, read or brought up to date; the text says what would do."""

    status = 503
    code = "store"


class FencedError(Exception):
    """Another control process leads now; what was to be written is not."""
