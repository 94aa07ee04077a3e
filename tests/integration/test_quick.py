"""Headgate from flags alone, and the data plane alone."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

from control.cli.client import AdminClient
from control.cli.failure import CommandError
from tests.helpers.processes import headgate, model_servers, running, session_members, wait_until

FREE = ("--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0")


def ready(folder: Path) -> AdminClient | None:
    """A client of the Headgate whose state is in `folder`, once it takes requests."""
    try:
        client = AdminClient(json.loads((folder / ".headgate/supervisor.json").read_text())["admin"])
        return client if client.exchange("GET", "/readyz").status == 200 else None
    except (OSError, CommandError):
        return None


def variant_of_an_answer(folder: Path) -> str:
    (record, *_) = json.loads((folder / ".headgate/workers.json").read_text())
    host, port = record["addresses"][0]
    with urllib.request.urlopen(f"http://{host}:{port}/v2/health/ready", timeout=60) as answer:
        assert answer.status == 200
        return str(answer.headers["x-headgate-variant"])


def test_flags_are_enough(tmp_path: Path) -> None:
    """Two URLs and a ramp: served, judged, steered by the name of the only route, ended by Ctrl-C."""
    with model_servers("v1", "v2") as (v1, v2):
        flags = ["--stable", v1, "--canary", v2, "--rollout", "5,100", *FREE]
        with running("control.cli", "run", *flags, cwd=tmp_path) as process:
            client: AdminClient = wait_until(lambda: ready(tmp_path), 60, "readiness")
            assert variant_of_an_answer(tmp_path) in ("stable", "canary")
            wait_until(lambda: _weight(client) == 0.05, 60, "the first step")

            promoted = headgate("promote", "default", cwd=tmp_path)

            assert promoted.returncode == 0, promoted.stderr
            wait_until(lambda: variant_of_an_answer(tmp_path) == "canary", 60, "an answer of the canary")
            process.send_signal(signal.SIGINT)
            assert process.wait(90) == 0
            assert session_members(process.pid) == {}


def _weight(client: AdminClient) -> Any:
    try:
        return client.get("/v1/rollouts/default")["weight"]
    except CommandError:
        return None


def test_the_data_plane_serves_alone(tmp_path: Path) -> None:
    """`headgate proxy` needs no control: weights as configured, and questions to control are unreachable."""
    with model_servers("v1") as (v1,):
        (tmp_path / "headgate.yaml").write_text(
            f"""\
listeners: [{{bind: "127.0.0.1:0"}}]
admin: {{bind: "127.0.0.1:0"}}
upstreams: {{v1: {{endpoints: ["{v1}"]}}, v2: {{endpoints: ["{v1}"]}}}}
routes:
  - {{name: all, split: {{kind: random, variants: {{v1: 0, v2: 100}}}}}}
"""
        )
        with running("control.cli", "proxy", "headgate.yaml", cwd=tmp_path) as process:
            wait_until(lambda: ready(tmp_path), 60, "readiness")

            assert {variant_of_an_answer(tmp_path) for _ in range(20)} == {"v2"}
            assert headgate("status", "--ready", cwd=tmp_path).returncode == 0
            status = headgate("status", cwd=tmp_path)
            assert status.returncode == 3
            assert status.stderr.count("\n") == 1
            assert not any("control.app" in line for line in session_members(process.pid).values())
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0
