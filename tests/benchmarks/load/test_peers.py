"""The proxies that take part, and where."""

import platform
import re
import sys
from pathlib import Path

import pytest

from benchmarks.load import contenders
from benchmarks.load.__main__ import choose_peers
from benchmarks.load.contenders import MIRRORS, PEERS, TEMPLATES, Contender, Peer
from benchmarks.load.machine import interpreter
from benchmarks.load.workloads import WORKLOADS, Setup

MARKS = {"@PORT@", "@UPSTREAM@", "@SHADOW@", "@ADMIN@", "@DIRECTORY@", "@CONFIG@"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of programs; those and interpreters count as installed."""
    names = {"nginx"}
    monkeypatch.setattr(
        "shutil.which", lambda name, path=None: name if name in names or name.startswith("/") else None
    )
    return names


def test_configurations_exist_and_ask_only_for_what_is_filled_in() -> None:
    """A proxy has a file for each of its setups, with no mark that nobody knows."""
    for peer in (PEERS | MIRRORS).values():
        texts = [(TEMPLATES / name).read_text() for name in peer.templates.values() if name]
        marks = set(re.findall(r"@[A-Z]+@", " ".join([*texts, *peer.command, *peer.environment.values()])))
        assert marks <= MARKS, peer.name
        assert "@PORT@" in marks, peer.name
        assert peer.copies == ("@SHADOW@" in marks), peer.name


def test_reference_takes_part_in_every_setup() -> None:
    """Without it there is no ratio."""
    assert {workload.setup for workload in WORKLOADS.values()} <= set(PEERS["nginx"].templates)


def test_missing_programs_are_named_and_left_out(
    installed: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with what there is, which says what there is not."""
    installed.add("caddy")

    names = [peer.name for peer in choose_peers(None, [], quick=False)]

    assert {"nginx", "caddy", "headgate"} <= set(names)
    assert not {"envoy", "haproxy"} & set(names)
    assert names[0] == "nginx"
    assert "envoy: envoy is not installed, left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [("nginx,no-such", "no-such: unknown; known are nginx"), ("envoy", "envoy is not installed")],
)
def test_name_that_cannot_be_had_is_an_error(installed: set[str], names: str, message: str) -> None:
    """Who names a proxy wants its figures."""
    with pytest.raises(ValueError, match=message):
        choose_peers(names, [], quick=False)


def test_mirrors_run_beside_plain_proxies_only_when_named(installed: set[str], tmp_path: Path) -> None:
    """By default they are compared among themselves; each other tree has its own two."""
    named = "nginx-mirror,headgate-mirror,headgate-compare,other-mirror,other-compare"

    chosen = choose_peers(None, [f"other={tmp_path}"], quick=False)
    asked = choose_peers(named, [f"other={tmp_path}"], quick=False)

    assert {peer.name for peer in chosen if peer.copies} == set(named.split(","))
    assert not any(Setup.PLAIN in peer.templates for peer in chosen if peer.copies)
    assert all(Setup.PLAIN in peer.templates for peer in asked)


def test_tree_may_name_its_interpreter(installed: set[str], tmp_path: Path) -> None:
    """What another interpreter runs is a proxy of its own; without one it is that of the benchmark."""
    chosen = choose_peers("other,same", [f"other={tmp_path},/opt/python", f"same={tmp_path}"], quick=False)

    assert [(peer.name, peer.command[0], peer.interpreter) for peer in chosen[1:]] == [
        ("other", "/opt/python", "/opt/python"),
        ("same", sys.executable, sys.executable),
    ]


def test_interpreter_says_how_it_was_built() -> None:
    """What the figures depend on is read from the interpreter that runs the proxy."""
    build = interpreter(sys.executable)

    assert build["version"] == platform.python_version()
    assert build["profile_guided"] in {"yes", "no", "not stated"}
    with pytest.raises(RuntimeError, match="/no/such/python"):
        interpreter("/no/such/python")


def test_environments_are_searched_for_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was installed into an environment of its own is found without being on the path."""
    program = tmp_path / "envoy" / "bin" / "no-such-proxy"
    program.parent.mkdir(parents=True)
    peer = Peer(name="p", command=("no-such-proxy",), templates={Setup.PLAIN: ""})
    monkeypatch.setattr(contenders, "ENVIRONMENTS", tmp_path)
    assert peer.program is None

    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert peer.program == str(program)


def test_peer_that_is_not_installed_is_not_started(tmp_path: Path) -> None:
    """The error names the proxy and the program."""
    peer = Peer(name="p", command=("no-such-proxy",), templates={Setup.PLAIN: ""})

    with pytest.raises(RuntimeError, match="p: no-such-proxy is not installed"):
        Contender(peer, upstream=1, directory=tmp_path / "p", cpu=None)
