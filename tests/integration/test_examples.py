"""The complete workflow by the Python API, beside a running Headgate with real traffic."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml

from control.demo.processes import start_model_server
from control.demo.traffic import Traffic
from proxy.launch import child_environment
from tests.helpers.headgate import headgate

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
async def test_the_complete_workflow(tmp_path: Path) -> None:
    """The script of the documentation ends with 0, and v2 serves after it."""
    config = yaml.safe_load((EXAMPLES / "workflow.yaml").read_text())
    del config["listeners"], config["admin"]
    async with AsyncExitStack() as stack:
        models = []
        for name, upstream in config["upstreams"].items():
            upstream["endpoints"] = [await start_model_server(stack, name)]
            models.append(tmp_path / f"{name}.bin")
            models[-1].write_bytes(f"weights of {name}".encode())
        gate = await stack.enter_async_context(headgate(tmp_path, config))
        await gate.control_back()
        traffic = Traffic(f"http://127.0.0.1:{gate.port}", rate=250)
        flowing = asyncio.get_running_loop().create_task(traffic.run())
        (tmp_path / "out").mkdir()

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(EXAMPLES / "workflow.py")),
            *("--state", str(tmp_path / ".headgate"), "--admin", gate.admin, "--to", str(tmp_path / "out")),
            *map(str, models),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=child_environment({}),
        )
        try:
            async with asyncio.timeout(400):
                said = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            traffic.stop()
            await flowing

        assert process.returncode == 0, said
        for line in (
            "not yet: fraud:v2 is not approved for production",
            "not by herself: alice asked for it",
            "carol approves fraud:v2: granted",
            "deployment of v2: active",
            "fraud@prod stands for fraud:v2",
            "deployment of v3: rolled_back",
            "the log is whole",
        ):
            assert line in said, said
        assert (tmp_path / "out" / ".github" / "workflows").is_dir()
        assert traffic.tally.unanswered == 0
