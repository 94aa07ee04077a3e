"""A start that cannot succeed: exit code 2, a clear error with its place, and nothing left running."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.helpers.processes import headgate

CONFIG = """\
listeners: [{bind: "127.0.0.1:0"}]
admin: {bind: "127.0.0.1:0"}
startup: {upstream_wait: 200ms}
upstreams:
  v1: {endpoints: ["http://127.0.0.1:UP"]}
  v2: {endpoints: ["http://127.0.0.1:UP"]}
routes:
  - name: fraud
    split: {kind: canary, stable: v1, canary: v2, weight: 5%, key: [client_address]}
"""


@pytest.fixture
def listening() -> socket.socket:
    """Something that accepts connections, like a model server."""
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.parametrize(
    ("old", "new", "place", "about"),
    [
        ("listeners:", "listener:", ":1:", "listener"),
        ("weight: 5%", "weight: five", ":9:", "weight"),
        pytest.param("weight: 5%", "weight: 105%", ":9:", "weight", marks=pytest.mark.slow),
        pytest.param("stable: v1", "stable: v9", ":9:", "v9", marks=pytest.mark.slow),
        ("kind: canary", "kind: random, variants: {v1: 0, v2: 0}", ":9:", ""),
        ("127.0.0.1:0", "127.0.0.1:TAKEN", ":1:", "in use"),
        pytest.param(
            'admin: {bind: "127.0.0.1:0"}',
            'admin: {bind: "127.0.0.1:TAKEN"}',
            ":2:",
            "in use",
            marks=pytest.mark.slow,
        ),
        ('admin: {bind: "127.0.0.1:0"}', 'admin: {bind: "0.0.0.0:0"}', ":2:", "token"),
        (
            'v2: {endpoints: ["http://127.0.0.1:UP"]}',
            'v2: {endpoints: ["http://127.0.0.1:DOWN"]}',
            ":6:",
            "v2",
        ),
    ],
)
def test_nothing_is_half_started(
    tmp_path: Path, listening: socket.socket, old: str, new: str, place: str, about: str
) -> None:
    """Every reason not to start is found before anything starts."""
    # Both go the same way; each reason is tried with one of them.
    command = "proxy" if about == "in use" else "run"
    with listening, socket.socket() as down:
        down.bind(("127.0.0.1", 0))
        text = CONFIG.replace(old, new, 1)
        for word, owner in (("UP", listening), ("TAKEN", listening), ("DOWN", down)):
            text = text.replace(word, str(owner.getsockname()[1]))
        (tmp_path / "headgate.yaml").write_text(text)

        refused = headgate(command, "headgate.yaml", cwd=tmp_path)

    assert refused.returncode == 2, refused.stderr
    assert refused.stdout == ""
    problems = [line for line in refused.stderr.splitlines() if line.startswith("headgate.yaml:")]
    assert any(place in problem and about in problem for problem in problems), refused.stderr
    assert "Traceback" not in refused.stderr
    assert _left_in(tmp_path) == []


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        pytest.param("folder", marks=pytest.mark.slow),
        "failing",
        pytest.param("binary", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    """One line that begins with the path."""
    path = tmp_path / "headgate.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "failing":
        # Reading it is an error for every user, root included.
        path.symlink_to("/proc/self/mem")
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00\x01")

    refused = headgate("run", "headgate.yaml", cwd=tmp_path)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("headgate.yaml")


@pytest.mark.parametrize(
    ("arguments", "about"),
    [
        ([], "--stable"),
        (["headgate.yaml", "--stable", "http://127.0.0.1:1"], "not together"),
        pytest.param(
            ["--stable", "http://127.0.0.1:1", "--canary", "http://127.0.0.1:2"],
            "--weight",
            marks=pytest.mark.slow,
        ),
        pytest.param(["--stable", "ftp://x"], "--stable", marks=pytest.mark.slow),
        (["--stable", "http://127.0.0.1:1", "--canary", "http://127.0.0.1:2", "--weight", "200"], "--weight"),
        pytest.param(["--stable", "http://127.0.0.1:1", "--weight", "5"], "canary", marks=pytest.mark.slow),
        (
            [
                "--stable",
                "http://127.0.0.1:1",
                "--canary",
                "http://127.0.0.1:2",
                "--weight",
                "5",
                "--key",
                "x",
            ],
            "--key",
        ),
    ],
)
def test_flags_are_checked_like_a_file(tmp_path: Path, arguments: list[str], about: str) -> None:
    """The error names the flag."""
    refused = headgate("run", *arguments, cwd=tmp_path)

    assert refused.returncode == 2
    assert about in refused.stderr
    assert "Traceback" not in refused.stderr
    assert _left_in(tmp_path) == []


def _left_in(folder: Path) -> list[str]:
    """Command lines of processes that work in `folder`."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if (process / "cwd").readlink() == folder:
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found
