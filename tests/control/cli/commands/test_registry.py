"""`headgate registry` and `headgate approvals`: on a store by itself, and on a running Headgate."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from control.cli import distant
from control.cli.main import cli
from tests.helpers.headgate import Headgate
from tests.helpers.waiting import until_async

Ask = Callable[..., Any]
ROLES = {"alice": "operator", "bob": "approver", "carol": "approver"}
TOKENS = {name: f"token-of-{name}-which-is-long-enough" for name in ROLES}


def _done(result: Result, code: int) -> Any:
    assert result.exit_code == code, (result.output, result.stderr)
    return result.stderr.strip() if code > 1 else result.stdout.strip()


SLOW_WHERE_ONE_RUNS = pytest.mark.parametrize(
    "ask", ["store", pytest.param("running", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=["store", "running"])
async def ask(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ask]:
    """Run a command as somebody; returns what it prints, or says when another exit code is expected."""

    async def invoke(environ: dict[str, str], arguments: tuple[str, ...], code: int) -> Any:
        runner = CliRunner()
        made = await asyncio.to_thread(runner.invoke, cli, [*arguments], env={"NO_COLOR": "1", **environ})
        return _done(made, code)

    if request.param == "store":

        async def on_store(who: str, *arguments: str, code: int = 0) -> Any:
            environ = {"HEADGATE_STORE": str(tmp_path / "state"), "HEADGATE_ACTOR": who}
            return await invoke(environ, arguments, code)

        yield on_store
        return
    tokens = [
        {"name": name, "role": role, "sha256": hashlib.sha256(TOKENS[name].encode()).hexdigest()}
        for name, role in ROLES.items()
    ]
    upstreams = {"v1": {"endpoints": ["http://127.0.0.1:9"]}}
    routes = [{"name": "rest", "upstream": "v1"}]
    startup = {"require_upstreams": False}
    gate = Headgate(tmp_path, {"upstreams": upstreams, "routes": routes, "startup": startup})
    gate.settings["admin"]["tokens"] = tokens
    gate.write()

    async def on_running(who: str, *arguments: str, code: int = 0) -> Any:
        return await invoke({"HEADGATE_ADMIN": gate.admin, "HEADGATE_TOKEN": TOKENS[who]}, arguments, code)

    async def has_control() -> bool:
        try:
            return bool(await on_running("alice", "registry", "list") == "no release fits")
        except AssertionError:
            return False

    try:
        await gate.start()
        await until_async(has_control, seconds=60, what=gate.said)
        yield on_running
    finally:
        await gate.close()


def _models(folder: Path) -> tuple[str, str]:
    """A file and a directory."""
    (folder / "one.bin").write_bytes(b"weights")
    (folder / "two" / "inner").mkdir(parents=True)
    (folder / "two" / "inner" / "weights").write_bytes(b"more weights")
    return str(folder / "one.bin"), str(folder / "two")


@SLOW_WHERE_ONE_RUNS
async def test_the_way_to_production(ask: Ask, tmp_path: Path) -> None:
    """Registered, refused, asked about, approved by somebody else, promoted, found, fetched and compared."""
    one, two = _models(tmp_path)
    said = await ask("alice", "registry", "register", "fraud", "1.0.0", one, "--metric", "auc=0.8")
    assert said.startswith("registered fraud:1.0.0, sha256:")
    more = ("--metric", "auc=0.9", "--metric", "loss=0.5", "--parent", "fraud:1.0.0", "--tag", "team=risk")
    await ask("alice", "registry", "register", "fraud", "v2", two, *more)
    assert "fraud:v2 is in staging" in await ask("alice", "registry", "promote", "fraud:v2", "staging")

    refused = await ask("alice", "registry", "promote", "fraud:v2", "production", code=2)
    assert "fraud:v2 is not approved for production: nobody has asked" in refused
    assert refused.endswith("; headgate approvals request fraud:v2 --stage production")
    asking = "approvals", "request", "fraud:v2", "--justification", "auc"
    request = (await ask("alice", *asking)).partition(":")[0]
    await ask("bob", "approvals", "comment", request, "Which data?")
    assert "fraud:v2 for production: approved" in await ask("bob", "approvals", "approve", request)
    shown = await ask("carol", "approvals", "show", request)
    assert "bob: Which data?" in shown
    assert "pending" not in await ask("alice", "approvals", "list", "--status", "approved")
    await ask("alice", "registry", "promote", "fraud:v2", "production", "--reason", "better")

    assert "@prod" in await ask("alice", "registry", "alias", "fraud")
    listed = json.loads(await ask("alice", "registry", "list", "--tag", "team=risk", "-o", "json"))
    assert [each["version"] for each in listed["models"]] == ["v2"]
    assert "approved by bob" in await ask("alice", "registry", "get", "fraud@prod")
    assert await ask("alice", "registry", "latest", "fraud") == "fraud:v2  production"
    assert "fraud:1.0.0" in await ask("alice", "registry", "lineage", "fraud:v2")
    compared = await ask("alice", "registry", "compare", "fraud", "1.0.0", "v2")
    assert "+12.50%" in compared
    assert "higher is better" in compared
    assert "live: neither has been a canary, or in an A/B test" in compared
    await ask("alice", "registry", "download", "fraud@prod", str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "inner" / "weights").read_bytes() == b"more weights"
    assert "12 bytes" not in await ask("alice", "registry", "verify", "fraud:1.0.0")


@SLOW_WHERE_ONE_RUNS
async def test_every_error_says_what_is_wrong_and_what_would_do(ask: Ask, tmp_path: Path) -> None:
    """In one line, with exit code 2; nothing is registered by any of it."""
    one, _ = _models(tmp_path)
    await ask("alice", "registry", "register", "fraud", "1.0.0", one)
    request = "approvals", "request", "fraud:1.0.0", "--justification", "x"
    asked = (await ask("alice", *request)).partition(":")[0]
    register, promote = ("registry", "register", "fraud", "9"), ("registry", "promote", "fraud:1.0.0")
    for arguments, what, remedy in (
        (("registry", "register", "fraud", "v1", one), "is registered since", "register another version"),
        (("registry", "register", "../x", "1", one), "'../x' is not a name", "use up to 64 letters"),
        ((*register, str(tmp_path / "none")), "none cannot be read", "name a file or directory"),
        ((*register, one, "--metric", "auc"), "--metric 'auc'", "NAME=VALUE"),
        ((*register, one, "--metric", "auc=x"), "'x' is no number", "NAME=0.91"),
        (("registry", "get", "fraud"), "'fraud' names no release", "NAME:VERSION or NAME@ALIAS"),
        (("registry", "get", "fraud:7"), "there is no release fraud:7", "headgate registry list"),
        ((*promote, "moon"), "there is no stage 'moon'", "use one of"),
        ((*promote, "production"), "cannot go from development", "it can go to staging"),
        (("registry", "rollback", "fraud"), "has held no other release", "promote"),
        (("registry", "list", "--metric", "auc"), "'auc' is no comparison", "auc>=0.9"),
        (("registry", "download", "fraud:1.0.0", one), "exists already", "another place"),
        (request, f"{asked} asks for fraud:1.0.0 in production already", f"headgate approvals show {asked}"),
        (("approvals", "show", "p-none"), "there is no approval 'p-none'", "headgate approvals list"),
        (("approvals", "renew", asked), "is pending", "headgate approvals show"),
        ((*request, "--config", "no.yaml"), "no.yaml: there is no such file", "check the path"),
    ):
        said = await ask("alice", *arguments, code=2)
        assert what in said, (arguments, said)
        assert remedy in said, (arguments, said)
        assert len(said.splitlines()) == 1, said
    voted = await ask("alice", "approvals", "approve", asked, code=2)
    assert "alice" in voted
    assert len(json.loads(await ask("alice", "registry", "list", "-o", "json"))["models"]) == 1


@SLOW_WHERE_ONE_RUNS
async def test_artifacts_come_and_go_where_control_keeps_them(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that cannot reach the place sends them through the admin address, and fetches them there."""
    one, two = _models(tmp_path)
    monkeypatch.setattr(distant, "reachable", lambda _: False)

    await ask("alice", "registry", "register", "fraud", "1", one)
    await ask("alice", "registry", "register", "fraud", "2", two)
    await ask("alice", "registry", "download", "fraud:1", str(tmp_path / "copy.bin"))
    await ask("alice", "registry", "download", "fraud:2", str(tmp_path / "copy"))

    assert (tmp_path / "copy.bin").read_bytes() == b"weights"
    assert (tmp_path / "copy" / "inner" / "weights").read_bytes() == b"more weights"
    [stored] = await asyncio.to_thread(_stored, tmp_path, b"weights")
    stored.write_bytes(b"wEights")
    assert "is not what was stored" in await ask("alice", "registry", "verify", "fraud:1", code=1)


def _stored(folder: Path, content: bytes) -> list[Path]:
    """The artifacts below a folder that are this."""
    files = [path for path in folder.rglob("sha256/*/*") if path.is_file()]
    return [path for path in files if path.read_bytes() == content]


def test_where_nobody_answers_a_store_would_do() -> None:
    """The error knows that these commands need nothing that runs."""
    done = CliRunner().invoke(
        cli, ["registry", "list", "--admin", "http://127.0.0.1:1"], env={"HEADGATE_STORE": None}
    )

    assert done.exit_code == 3
    assert done.stderr.strip().endswith("or HEADGATE_ADMIN; with --store DIRECTORY nothing needs to run")
