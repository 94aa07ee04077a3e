"""Says in words why the database could not be used, and what would do."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError


def trouble_of(error: BaseException) -> tuple[str, str] | None:
    """What the database said, in one line, and a remedy; None where *error* comes from elsewhere."""
    if not isinstance(error, (DBAPIError, sqlite3.Error)):
        return None
    return f"the store cannot be used: {cause_of(error)}", remedy_for(error)


def cause_of(error: Exception) -> str:
    """The driver's own words, without the statement."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())


def remedy_for(error: Exception) -> str:
    """What a person can do about it."""
    cause = cause_of(error).lower()
    if "malformed" in cause or "not a database" in cause or "encrypted" in cause:
        return "restore a copy or move the file away to start afresh"
    if "locked" in cause:
        return "end the other process that uses it"
    if "full" in cause:
        return "free some space on its disk"
    if "readonly" in cause or "read-only" in cause or "unable to open" in cause or "permission" in cause:
        return "make its directory exist and writable for this user"
    return "check that the database is there and that this user may use it"
