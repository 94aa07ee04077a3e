"""The steps of a generated pipeline, run by a shell against a live Headgate: good, bad and idle releases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import parse

import pytest

from tests.control.ci.combinations import files_of
from tests.control.ci.extraction import Shell, steps
from tests.helpers.headgate import Headgate
from tests.helpers.load import load
from tests.helpers.model_server import ModelServer, model_servers

STEP_SECONDS = 240.0
SHELLS = {"github": "bash", "gitlab": "sh", "jenkins": "sh", "azure": "bash"}
OPTIONS: dict[str, Any] = {
    "model": "fraud",
    "environments": [{"name": "staging", "stage": "staging", "timeout": "40s"}],
    "monitoring": 1,
    "thresholds": ["accuracy>=0.9"],
    "compare_with": "production",
}
ROLLOUT = {
    "steps": [{"weight": "50%", "duration": "1s", "requests": 60}, {"weight": "100%", "duration": "1s"}],
    "preset": "aggressive",
    "guardrails": [{"kind": "error_rate_rise"}],
    "interval": "200ms",
}
SPLIT = {"kind": "canary", "key": ["header:x-user-id"], "stable": "stable", "canary": "next"}


@dataclass(slots=True)
class Workplace:
    """A repository with a model, a Headgate that carries it, and the pipeline's shell."""

    headgate: Headgate
    servers: dict[str, ModelServer]
    repository: Path
    shell: str
    steps: list[Shell]

    async def run(self, script: str, environment: dict[str, str]) -> tuple[int, str]:
        """Run one step as its platform does; returns exit code and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(self.shell, "-e", "-c", script),
            cwd=self.repository,
            env={
                **os.environ,
                # The command of this checkout, as a pipeline finds the one it has installed.
                "PATH": f"{self.repository.parent / 'bin'}:{os.environ['PATH']}",
                **environment,
                "CI_JOB_STATUS": "failed",
                "GITHUB_STEP_SUMMARY": str(self.repository / "summary.md"),
                "HEADGATE_ADMIN": self.headgate.admin,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(STEP_SECONDS):
            said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode(errors="replace")

    async def job(self, name: str) -> tuple[int, str]:
        """Run a job: its steps until one fails, then those of failure; the code of what failed, else 0."""
        said = ""
        for step in [one for one in self.steps if one.job == name and not one.on_failure]:
            script = step.script.replace(". .venv/bin/activate\n", "")
            code, text = await self.run(script, step.environment)
            said += f"$ {step.plain}{text}\n"
            if code != 0:
                for rescue in [one for one in self.steps if one.job == name and one.on_failure]:
                    rescued, text = await self.run(
                        rescue.script.replace(". .venv/bin/activate\n", ""), rescue.environment
                    )
                    said += f"$ {rescue.plain}{text}\n"
                    assert rescued == 0, said
                return code, said
        return 0, said

    def release(self, version: str, accuracy: float = 0.95) -> None:
        """What a commit would bring: another artifact, its metrics and its version."""
        (self.repository / "model").write_text(f"weights of {version}\n")
        (self.repository / "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
        (self.repository / "VERSION").write_text(version)


@contextlib.asynccontextmanager
async def workplace(folder: Path, provider: str) -> AsyncIterator[Workplace]:
    """Start everything; the stable version is registered and serves."""
    repository = folder / "repository"
    repository.mkdir()
    binaries = folder / "bin"
    binaries.mkdir()
    command = binaries / "headgate"
    root = Path(__file__).parent.parent.parent
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m control.cli "$@"\n')
    command.chmod(0o755)
    async with model_servers("stable", "next") as servers:
        headgate = Headgate(
            folder,
            {
                "upstreams": {
                    "stable": {"endpoints": [servers["stable"].url], "release": "fraud:1.0.0"},
                    "next": {"endpoints": [servers["next"].url], "release": "fraud@staging-canary"},
                },
                "routes": [{"name": "fraud", "split": SPLIT, "rollout": ROLLOUT}],
            },
        )
        place = Workplace(
            headgate=headgate,
            servers=servers,
            repository=repository,
            shell=SHELLS[provider],
            steps=steps(provider, files_of(provider, OPTIONS)),
        )
        try:
            place.release("1.0.0")
            store = f"--store {headgate.folder / '.headgate'}"
            for command_line in (
                f"headgate registry register fraud 1.0.0 --artifact model --metrics metrics.json {store}",
                f"headgate registry alias fraud staging-canary 1.0.0 {store}",
            ):
                code, said = await place.run(command_line, {})
                assert code == 0, said
            await headgate.start()
            yield place
        finally:
            await headgate.close()


async def before_the_release(place: Workplace, version: str) -> None:
    """Validate and register a version, ask for approval."""
    place.release(version)
    for job in ("validate", "register", "request_approval"):
        code, said = await place.job(job)
        assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["github", "gitlab", "jenkins", "azure"])
async def test_good_bad_and_idle_releases_go_through_the_pipeline(tmp_path: Path, provider: str) -> None:
    """Promoted is 0, rolled back 1, undecided 2; each leaves the traffic where it belongs."""
    async with workplace(tmp_path, provider) as place:
        await before_the_release(place, "1.1.0")
        async with load(place.headgate.port, "fraud", rate=150):
            code, said = await place.job("release_staging")
        assert code == 0, said
        suites = parse(place.repository / "reports" / "gate.xml").getroot()
        assert suites.get("failures") == "0"
        assert "is promoted" in said
        code, said = await place.job("stage_staging")
        assert code == 0, said

        await before_the_release(place, "1.2.0")
        place.servers["next"].fails = lambda place, number: number % 2 == 0
        async with load(place.headgate.port, "fraud", rate=150):
            code, said = await place.job("release_staging")
        assert code == 1, said
        assert "nothing to do" in said
        served = place.servers["next"].total
        async with load(place.headgate.port, "fraud", rate=150):
            await asyncio.sleep(0.5)
        assert place.servers["next"].total == served

        await before_the_release(place, "1.3.0")
        place.servers["next"].fails = lambda place, number: False
        code, said = await place.job("release_staging")
        assert code == 2, said
        rollout = await place.headgate.get("/v1/rollouts/fraud")
        assert (rollout["state"], rollout["release"]) == ("aborted", "fraud:1.3.0")


async def test_a_worse_model_is_stopped_before_it_is_registered(tmp_path: Path) -> None:
    """By its offline metrics alone, with JUnit to show why."""
    async with workplace(tmp_path, "github") as place:
        place.release("2.0.0", accuracy=0.5)

        code, said = await place.job("validate")

        assert code == 1, said
        assert "accuracy" in said
        assert parse(place.repository / "reports" / "validate.xml") is not None
