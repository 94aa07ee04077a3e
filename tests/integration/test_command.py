"""The command and a real Headgate: started, looked at, steered, reloaded and drained, with tokens."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from control.cli.client import AdminClient
from control.cli.failure import CommandError
from tests.helpers.processes import headgate, model_servers, running, session_members, wait_until

TOKENS = {"alice": "admin", "oscar": "operator", "victor": "viewer"}

CONFIG = """\
listeners: [{{bind: "127.0.0.1:0"}}]
admin:
  bind: "127.0.0.1:0"
  tokens:
{tokens}
upstreams:
  v1: {{endpoints: ["{v1}"], release: "fraud:v1"}}
  v2: {{endpoints: ["{v2}"], release: "fraud:v2"}}
routes:
  - name: fraud
    split: {{kind: canary, key: [header:x-user-id], stable: v1, canary: v2}}
    rollout: {{preset: balanced, steps: [10%, 50%, 100%], duration: 1h}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A Headgate in the background, and the folder that commands find it from."""

    folder: Path
    process: subprocess.Popen[bytes]

    def ask(self, *arguments: str, token: str | None = "alice-secret", seconds: float = 60) -> Any:
        environ = {} if token is None else {"HEADGATE_TOKEN": token}
        return headgate(*arguments, cwd=self.folder, environ=environ, seconds=seconds)

    def json(self, *arguments: str) -> Any:
        done = self.ask(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def config(self) -> Path:
        return self.folder / "headgate.yaml"

    @property
    def address(self) -> str:
        (record, *_) = json.loads((self.folder / ".headgate/workers.json").read_text())
        host, port = record["addresses"][0]
        return f"http://{host}:{port}"


def _tokens() -> str:
    digests = {name: hashlib.sha256(f"{name}-secret".encode()).hexdigest() for name in TOKENS}
    return "\n".join(
        f"    - {{name: {name}, sha256: {digests[name]}, role: {role}}}" for name, role in TOKENS.items()
    )


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gate")
    with model_servers("v1", "v2") as (v1, v2):
        (folder / "headgate.yaml").write_text(CONFIG.format(tokens=_tokens(), v1=v1, v2=v2))
        with running("control.cli", "run", "headgate.yaml", cwd=folder) as process:
            started = Running(folder=folder, process=process)
            wait_until(lambda: _settled(started), 60, "a first decision")
            yield started


def _settled(gate: Running) -> bool:
    """Whether requests are taken and the rollout has begun; asked without the cost of a process."""
    assert gate.process.poll() is None, (gate.folder / "log").read_text()
    try:
        admin = json.loads((gate.folder / ".headgate/supervisor.json").read_text())["admin"]
        client = AdminClient(admin, "alice-secret")
        return (
            client.exchange("GET", "/readyz").status == 200 and client.get("/v1/decisions")["decisions"] != []
        )
    except (OSError, CommandError):
        return False


def test_it_is_found_from_its_folder(gate: Running) -> None:
    """Commands need no address where `headgate run` was started."""
    shown = gate.ask("status")

    assert shown.returncode == 0, shown.stderr
    assert "route fraud (canary)" in shown.stdout
    assert "fraud: v2 is progressing at 10 %, step 1 of 3" in shown.stdout


def test_requests_get_through(gate: Running) -> None:
    """What it was started for."""
    with urllib.request.urlopen(f"{gate.address}/v2/health/ready", timeout=60) as answer:
        assert answer.status == 200
        assert answer.headers["x-headgate-variant"] in ("v1", "v2")


@pytest.mark.parametrize(
    ("token", "arguments", "message"),
    [
        (None, ["status"], "a bearer token is needed"),
        ("wrong-secret", ["status"], "this token is not known here"),
        ("victor-secret", ["promote", "fraud"], "victor is viewer; this needs operator"),
        ("oscar-secret", ["reload"], "oscar is operator; this needs admin"),
        ("two words", ["status"], "characters that no header can carry"),
    ],
)
def test_a_token_that_does_not_do_is_one_clear_error(
    gate: Running, token: str | None, arguments: list[str], message: str
) -> None:
    """Exit code 2; the token itself is never shown."""
    refused = gate.ask(*arguments, token=token)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert message in refused.stderr
    assert token is None or token not in refused.stderr + refused.stdout


def test_a_viewer_may_look(gate: Running) -> None:
    """Looking needs the least of the roles."""
    assert gate.ask("why", token="victor-secret").returncode == 0


def test_a_person_steers_a_rollout(gate: Running) -> None:
    """Each command works, is explained, is recorded with its actor, and shows in the exit code of wait."""
    assert gate.json("pause", "fraud", "--reason", "lunch")["state"] == "paused"
    assert gate.ask("wait", "fraud", "--for", "paused", "--timeout", "5s").returncode == 0
    assert gate.ask("pause", "fraud").returncode == 2
    why = gate.ask("why", "fraud")
    assert "who      alice" in why.stdout
    assert "why      lunch" in why.stdout

    resumed = gate.json("resume", "fraud")
    assert (resumed["state"], resumed["weight"]) == ("progressing", 0.1)
    assert gate.ask("wait", "fraud", "--for", "promoted", "--timeout", "300ms").returncode == 4

    assert gate.json("rollback", "fraud", "--reason", "a bad feeling")["state"] == "rolled_back"
    assert gate.ask("wait", "fraud", "--for", "rolled_back").returncode == 0
    assert gate.ask("wait", "fraud", "--for", "promoted").returncode == 1
    assert "quarantined" in gate.ask("status").stdout

    refused = gate.ask("restart", "fraud")
    assert refused.returncode == 2
    assert "reason" in refused.stderr
    assert gate.json("restart", "fraud", "--reason", "it was the weather")["state"] == "progressing"

    assert gate.json("promote", "fraud")["state"] == "promoted"
    assert gate.ask("wait", "fraud").returncode == 0
    assert gate.json("status")["routes"][0]["variants"]

    events = gate.json("audit", "--actor", "alice", "--limit", "100")["events"]
    acts = [event["type"] for event in events]
    assert acts.index("rollout_paused") < acts.index("rollout_resumed") < acts.index("rollout_rolled_back")
    assert "quarantine_lifted" in acts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["why", "nothing"], "nothing"),
        (["promote", "nothing"], "nothing"),
        (["why", "d-" + "0" * 26], "there is no decision"),
        (["wait", "nothing"], "nothing"),
        (["audit", "--resource", "rollout"], ""),
    ],
)
def test_what_is_not_there_is_named(gate: Running, arguments: list[str], message: str) -> None:
    """A misspelt name is an error that repeats it."""
    done = gate.ask(*arguments)

    if message:
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    else:
        assert done.returncode == 0


def test_a_bad_file_is_refused_and_the_old_one_stays(gate: Running) -> None:
    """`reload` prints the problem with its place; a good file is then taken."""
    good = gate.config.read_text()
    before = gate.json("status")["config"]["digest"]

    gate.config.write_text(good.replace("stable: v1", "stable: v9"))
    refused = gate.ask("reload")

    assert refused.returncode == 2
    assert "headgate.yaml" in refused.stderr
    assert "v9" in refused.stderr
    assert gate.json("status")["config"]["digest"] == before

    gate.config.write_text(good + "timeouts: {connect: 3s}\n")
    assert gate.ask("reload").returncode == 0
    assert gate.json("status")["config"]["digest"] != before


def test_a_second_one_is_refused_and_the_first_goes_on(gate: Running) -> None:
    """The state directory belongs to one Headgate."""
    refused = gate.ask("run", "headgate.yaml")

    assert refused.returncode == 2
    assert "in use" in refused.stderr
    assert gate.ask("status", "--ready").returncode == 0


def test_drain_ends_it_in_order(gate: Running) -> None:
    """Last of all: it finishes, exits with 0, and leaves no process and no address behind."""
    assert gate.ask("drain").returncode == 0

    assert gate.process.wait(90) == 0
    wait_until(lambda: not session_members(gate.process.pid), 60, "the end of every process")
    assert gate.ask("status", "--ready").returncode == 3
    assert not (gate.folder / ".headgate/supervisor.json").exists()
