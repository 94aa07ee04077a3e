"""Clients nobody here wrote: one program asks a server directly and through Headgate and is told the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.real.environments import execute
from tests.real.front import Front


def assert_same_told(
    environment: str, program: str, server: str, front: Front, cwd: Path
) -> tuple[dict[str, Any], Counter[str]]:
    """Assert that a client is told the same with and without Headgate, which blames nobody for what it saw.

    Returns:
        What it was told, by case, and the outcomes that Headgate counted meanwhile.
    """
    direct = _told(environment, program, server, cwd)
    before = front.outcomes()
    through = _told(environment, program, front.url, cwd)

    assert list(through) == list(direct)
    for name, answer in direct.items():
        assert through[name] == answer, name
    assert front.variants() == {"v1", "v2"}
    assert front.blamed() == {}
    return direct, front.settled() - before


def assert_counted(counted: Counter[str], expected: dict[str, int], *, unread: int = 0) -> None:
    """Assert that outcomes were counted as expected, but for up to `unread` that the client cut short.

    Some clients close the connection as soon as they know enough. If the end of the answer has not passed by
    then, that is an abort of the client.
    """
    missing = Counter(expected) - counted
    assert counted - Counter(expected) == Counter(client_abort=missing.total())
    assert missing.total() <= unread


def statuses(told: dict[str, Any]) -> dict[str, int]:
    """Return the status of every case that ended in an error."""
    return {
        name: int(answer["status"])
        for name, answer in told.items()
        if isinstance(answer, dict) and int(answer.get("status", 200)) >= 400
    }


def _told(environment: str, program: str, url: str, cwd: Path) -> dict[str, Any]:
    printed = execute(environment, program, url, cwd=cwd)
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    assert told, f"{program} asked nothing"
    return told
