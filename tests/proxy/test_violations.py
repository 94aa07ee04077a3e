"""What is tried on the admin address and not allowed reaches control, in few entries however much it is."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from proxy import violations as violations_module
from proxy.control_link import ControlAwayError
from proxy.violations import KINDS_MAX, Violations
from tests.helpers.agents import agent_task
from tests.helpers.configurations import configuration
from tests.helpers.control_stand_in import control_stand_in
from tests.helpers.tables import table_for
from tests.helpers.waiting import until


class Line:
    """A line to control that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.sent: list[list[dict[str, Any]]] = []

    async def post_violations(self, attempts: list[dict[str, Any]]) -> None:
        """Take them, or not."""
        await asyncio.sleep(0)
        if self.away:
            raise ControlAwayError("away")
        self.sent.append(attempts)


def note(violations: Violations, code: str = "token_wrong", address: str = "192.0.2.1") -> None:
    violations.note(code, address=address, actor="", method="POST", path="/-/reload")


async def test_many_attempts_make_few_entries() -> None:
    """Those that are alike are one; behind a number of kinds the address is left out."""
    violations, line = Violations(), Line()
    for number in range(1000):
        note(violations, address=f"192.0.2.{number % 200}")
    await violations.send(line)  # type: ignore[arg-type]

    (sent,) = line.sent
    assert len(sent) == KINDS_MAX + 1
    assert sum(attempts["times"] for attempts in sent) == 1000
    assert sent[-1]["address"] == ""


async def test_nothing_is_forgotten_while_control_is_away() -> None:
    """It is added to what comes later."""
    violations, line = Violations(), Line()
    line.away = True
    note(violations)
    note(violations)
    sending = asyncio.create_task(violations.send(line))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    note(violations)
    await sending
    line.away = False
    await violations.send(line)  # type: ignore[arg-type]

    assert [attempts["times"] for attempts in line.sent[0]] == [3]


def test_mistakes_are_no_violations() -> None:
    """A path that does not exist, a token that was left out."""
    violations = Violations()
    for code in ("token_missing", "not_found", "path_invalid", "control_away"):
        note(violations, code)

    assert not violations._noted


async def test_from_the_admin_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token, a role too low, another site and another name; with who, where and what."""
    monkeypatch.setattr(violations_module, "SEND_SECONDS", 0.05)
    token = {"name": "vera", "sha256": hashlib.sha256(b"viewer").hexdigest(), "role": "viewer"}
    config = configuration(admin={"bind": "127.0.0.1:0", "tokens": [token]})
    right, wrong = {"Authorization": "Bearer viewer"}, {"Authorization": "Bearer guess"}
    async with control_stand_in(tmp_path / "c.sock") as control, agent_task(tmp_path, config) as agent:
        control.publish(table_for(agent.config, 1))
        await agent.start(control=control.socket)
        form = {"Origin": agent.admin, "Content-Type": "application/x-www-form-urlencoded"}
        assert (await agent.call("POST", "/-/sign-in", form, b"token=guess"))[0] == 401
        await until(lambda: bool(control.violations))
        assert [(one["code"], one["path"]) for one in control.violations] == [("token_wrong", "/-/sign-in")]
        control.violations.clear()
        for method, path, headers in (
            ("GET", "/v1/status?token=guess", wrong),
            ("POST", "/-/reload", right),
            ("POST", "/-/drain", right | {"Origin": "http://evil.example"}),
            ("GET", "/livez", {"Host": "evil.example"}),
        ):
            assert (await agent.call(method, path, headers=headers))[0] in (401, 403, 421)
        await until(lambda: len(control.violations) == 4)

    seen = {one["code"]: (one["actor"], one["address"], one["path"]) for one in control.violations}
    assert seen == {
        "token_wrong": ("", "127.0.0.1", "/v1/status"),
        "role_too_low": ("vera", "127.0.0.1", "/-/reload"),
        "cross_site": ("", "127.0.0.1", "/-/drain"),
        "host_not_ours": ("", "127.0.0.1", "/livez"),
    }
