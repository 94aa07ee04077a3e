"""The admin client: finds the address, carries the token, and turns every trouble into one clear error."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from control.cli.client import DEFAULT_ADMIN, AdminClient, discover, rollout_path
from control.cli.failure import CommandError, UnreachableError
from tests.helpers.admin import AdminStandIn, admin_stand_in


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        yield stand_in


def test_it_gets_and_posts_json(admin: AdminStandIn) -> None:
    """Queries leave out what is not given; bodies and answers are JSON."""
    admin.on("GET", "/v1/decisions", (200, {"decisions": []}))
    admin.on("POST", "/v1/rollouts/a%2Fb/pause", (200, {"state": "paused"}))
    client = AdminClient(admin.url)

    assert client.get("/v1/decisions", rollout="r 1", before=None) == {"decisions": []}
    assert admin.seen[0][1] == "/v1/decisions?rollout=r+1"
    client.exchange("POST", rollout_path("a/b", "pause"), {"reason": "lunch"})
    assert admin.seen[1][0] == "POST"
    assert admin.seen[1][3] == {"reason": "lunch"}


def test_the_token_is_sent_and_never_shown(admin: AdminStandIn) -> None:
    """A refused token is an error that says what to do, without the token in it."""
    admin.on(
        "GET", "/v1/status", (401, {"error": {"code": "unauthorized", "message": "the token is not known"}})
    )

    with pytest.raises(CommandError) as caught:
        AdminClient(admin.url, "s3cret-token").get("/v1/status")

    assert admin.seen[0][2]["authorization"] == "Bearer s3cret-token"
    assert caught.value.exit_code == 2
    assert "s3cret" not in caught.value.message
    assert "HEADGATE_TOKEN" in caught.value.message


def test_a_missing_control_process_is_unreachable(admin: AdminStandIn) -> None:
    """503 from the admin address means that what was asked for is away: exit code 3."""
    error = {"code": "control_unavailable", "message": "control does not answer", "remedy": "try again"}
    admin.on("GET", "/v1/status", (503, {"error": error}))

    with pytest.raises(UnreachableError, match="control does not answer; try again"):
        AdminClient(admin.url).get("/v1/status")


def test_nobody_there_is_unreachable() -> None:
    """The error names the address and both ways to give another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(UnreachableError) as caught:
            AdminClient(address).get("/v1/status")

    assert caught.value.exit_code == 3
    assert address in caught.value.message
    assert "connection refused" in caught.value.message
    assert "--admin" in caught.value.message


def test_silence_is_unreachable_after_a_while() -> None:
    """A server that accepts and says nothing does not hold a command for ever."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = AdminClient(f"http://127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.2)

        with pytest.raises(UnreachableError, match=r"did not answer within 0.2 s"):
            client.get("/v1/status")


@pytest.mark.parametrize(
    "reply", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"]
)
def test_something_else_at_the_address_is_an_error(reply: bytes) -> None:
    """What does not speak HTTP, or not our JSON, is named as such instead of being misread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_reply_once, args=(server, reply))
        thread.start()

        with pytest.raises(CommandError):
            AdminClient(f"http://127.0.0.1:{server.getsockname()[1]}").get("/v1/status")
        thread.join(60)


def _reply_once(server: socket.socket, reply: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(reply)


@pytest.mark.parametrize("address", ["ftp://x", "http://", "http://host:port", "unix:/x", ""])
def test_a_bad_address_is_named(address: str) -> None:
    """What cannot be an address is refused before anything is tried."""
    with pytest.raises(CommandError, match="not a URL"):
        AdminClient(address)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("127.0.0.1:9901", "http://127.0.0.1:9901"),
        ("https://gate.example/admin/", "https://gate.example/admin"),
        ("http://[::1]:9901", "http://[::1]:9901"),
    ],
)
def test_addresses_may_be_short(given: str, used: str) -> None:
    """host:port is enough."""
    assert AdminClient(given).address == used


def test_the_address_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As given; else as a running Headgate of this directory says; else the default."""
    monkeypatch.chdir(tmp_path)
    assert discover("http://elsewhere:1") == "http://elsewhere:1"
    assert discover(None) == DEFAULT_ADMIN

    state = tmp_path / ".headgate"
    state.mkdir()
    (state / "supervisor.json").write_text(json.dumps({"pid": 1, "admin": "http://127.0.0.1:4711"}))
    assert discover(None) == "http://127.0.0.1:4711"

    (state / "supervisor.json").write_text("{")
    assert discover(None) == DEFAULT_ADMIN
