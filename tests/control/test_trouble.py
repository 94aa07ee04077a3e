"""What fails again and again is said once, in words a person can act on, and again when it is over."""

from __future__ import annotations

import logging
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from control.store.trouble import trouble_of
from control.trouble import Trouble

log = logging.getLogger("headgate.test")


def full() -> OperationalError:
    return OperationalError("INSERT …", {}, sqlite3.OperationalError("database or disk is full"))


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("database or disk is full", "free some space"),
        ("attempt to write a readonly database", "writable for this user"),
        ("database is locked", "end the other process"),
        ("file is not a database", "restore a copy"),
        ("disk I/O error", "check that the database is there"),
    ],
)
def test_the_database_says_what_is_wrong_and_a_person_what_to_do(said: str, remedy: str) -> None:
    """In one line, without the statement that failed."""
    found = trouble_of(OperationalError("SELECT 1", {}, sqlite3.OperationalError(said)))

    assert found is not None
    assert found[0] == f"the store cannot be used: {said}"
    assert remedy in found[1]
    assert trouble_of(ValueError(said)) is None


def test_the_same_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk is not filled by the log of its being full; another cause is told, and the end."""
    trouble = Trouble(log, "ticks fail", "look into the log")
    with caplog.at_level(logging.INFO, "headgate.test"):
        for _ in range(100):
            trouble.failed(full())
        assert (
            trouble.text == "the store cannot be used: database or disk is full; free some space on its disk"
        )
        trouble.failed(ValueError("a bug"))
        assert trouble.text == "ValueError: a bug; look into the log"
        trouble.worked()
        trouble.worked()

    assert trouble.text == ""
    assert [(record.levelname, record.exc_info is not None) for record in caplog.records] == [
        ("ERROR", False),
        ("ERROR", True),
        ("INFO", False),
    ]
    assert "after 101 tries" in caplog.text
