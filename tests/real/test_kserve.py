"""KServe's own model server: tensors as JSON and as they are in memory, from both clients of the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.environments import FOLDER, executable
from tests.real.front import Front, headgate_before
from tests.real.same import assert_counted, assert_same_told, statuses
from tests.real.servers import free_ports, serving

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a model server."""
    folder = tmp_path_factory.mktemp("kserve")
    (port,) = free_ports(1)
    command: list[str | Path] = [executable("kserve"), "-I", FOLDER / "models/serve_means.py", str(port)]
    url = f"http://127.0.0.1:{port}"
    with serving(command, url=url, ready="/v2/health/ready", cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def front(kserve: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Headgate before it."""
    with headgate_before(kserve, tmp_path_factory.mktemp("gate")) as running:
        yield running


def test_triton_client(kserve: str, front: Front, tmp_path: Path) -> None:
    """Bodies whose numbers follow their JSON head as they are in memory, both ways."""
    told, counted = assert_same_told("triton", "clients/ask_triton.py", kserve, front, tmp_path)

    assert told["binary"]["labels"] == told["json"]["labels"]
    assert "data" not in told["binary"]["response"]["outputs"][0]
    assert told["binary, large"]["labels"] == told["json, large"]["labels"]
    assert len(told["binary, large"]["labels"]) == 20_000
    assert statuses(told) == {
        # This server does not decompress.
        "request compressed": 400,
        "both compressed": 400,
        "both compressed, small": 400,
        "deflated": 400,
        "no such model": 404,
        "no such model, metadata": 404,
        "no such version": 501,
        "wrong shape": 400,
    }
    # Live, ready, and whether two models are: the client reads no more than the status.
    assert_counted(counted, {"ok": 11 + 64 + 64, "upstream_4xx": 8, "upstream_5xx": 1}, unread=4)


def test_kserve_client(kserve: str, front: Front, tmp_path: Path) -> None:
    """The same from the client of the same project."""
    told, counted = assert_same_told("kserve", "clients/ask_kserve.py", kserve, front, tmp_path)

    assert int(told["binary"]["headers"]["inference-header-content-length"]) > 0
    assert told["binary"]["outputs"] == told["json"]["outputs"]
    assert told["binary, large"]["outputs"] == told["json, large"]["outputs"]
    assert statuses(told) == {"no such model": 404, "no inputs": 422, "wrong shape": 400}
    assert_counted(counted, {"ok": 5 + 32 + 32, "upstream_4xx": 4})
