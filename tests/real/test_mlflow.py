"""`mlflow models serve` with a scikit-learn model: the same answers through Headgate as without it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.environments import executable, execute
from tests.real.exchanges import Ask, assert_same, assert_same_at_once
from tests.real.front import Front, headgate_before
from tests.real.servers import free_ports, serving

pytestmark = pytest.mark.real

COLUMNS = ["height", "width", "depth"]
CSV = {"content-type": "text/csv"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a scoring server."""
    program = executable("mlflow", "mlflow")
    folder = tmp_path_factory.mktemp("mlflow")
    execute("mlflow", "models/train_pyfunc.py", str(folder / "model"), cwd=folder)
    (port,) = free_ports(1)
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command: list[str | Path] = [
        program,
        "models",
        "serve",
        "--model-uri",
        "model",
        "--env-manager",
        "local",
        *where,
    ]
    # It looks for `python` and `uvicorn` on the path.
    environ = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    url = f"http://127.0.0.1:{port}"
    with serving(command, url=url, ready="/ping", cwd=folder, environ=environ) as server:
        yield server


@pytest.fixture(scope="module", params=["run", "proxy"])
def front(
    mlflow: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Front]:
    """Headgate before it: with control, and the data plane alone."""
    with headgate_before(mlflow, tmp_path_factory.mktemp("gate"), command=request.param) as running:
        yield running


def rows(count: int) -> list[list[float]]:
    """Return generated inputs, the same for the same count."""
    source = random.Random(count)
    return [[source.gauss(0, 2) for _ in COLUMNS] for _ in range(count)]


def invoke(name: str, value: object, **headers: str) -> Ask:
    """Return a request for predictions."""
    body = json.dumps(value).encode()
    return Ask(name=name, method="POST", path="/invocations", headers=JSON | headers, body=body)


def csv(name: str, count: int, *, chunked: bool = False) -> Ask:
    """Return the same as comma-separated values, at once or line by line."""
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in rows(count))]
    encoded = [f"{line}\n".encode() for line in lines]
    body = encoded if chunked else b"".join(encoded)
    return Ask(name=name, method="POST", path="/invocations", headers=CSV, body=body)


ASKS = [
    Ask(name="ping", path="/ping"),
    Ask(name="health", path="/health"),
    Ask(name="version", path="/version"),
    Ask(name="head", method="HEAD", path="/ping"),
    invoke("split", {"dataframe_split": {"columns": COLUMNS, "data": rows(3)}}),
    invoke("records", {"dataframe_records": [dict(zip(COLUMNS, row, strict=True)) for row in rows(4)]}),
    invoke("large", {"dataframe_split": {"columns": COLUMNS, "data": rows(20_000)}}),
    csv("csv", 5),
    csv("csv line by line", 500, chunked=True),
    invoke("wrong column", {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}),
    invoke("wrong type", {"dataframe_split": {"columns": COLUMNS, "data": [["a", "b", "c"]]}}),
    invoke("no such key", {"frame": []}),
    Ask(name="no JSON", method="POST", path="/invocations", headers=JSON, body=b"{"),
    Ask(name="no body", method="POST", path="/invocations", headers=JSON, body=b""),
    Ask(name="unknown type", method="POST", path="/invocations", headers={"content-type": "x/y"}, body=b"1"),
    Ask(name="no such path", path="/models?name=%C3%A4"),
    Ask(name="wrong method", path="/invocations"),
]


def test_plain_http(mlflow: str, front: Front) -> None:
    """Status, header fields and every byte of the body."""
    direct = assert_same(mlflow, front, ASKS)

    assert json.loads(direct["split"].body).keys() == {"predictions"}
    assert len(json.loads(direct["large"].body)["predictions"]) == 20_000
    assert len(json.loads(direct["csv line by line"].body)["predictions"]) == 500
    refused = {name: answer.status for name, answer in direct.items() if answer.status != 200}
    assert refused == {
        "head": 405,
        "wrong column": 400,
        "wrong type": 400,
        "no such key": 400,
        "no JSON": 400,
        "no body": 400,
        "unknown type": 415,
        "no such path": 404,
        "wrong method": 405,
    }


def test_plain_http_at_once(mlflow: str, front: Front) -> None:
    """Eight connections at once, each with the same list of requests begun elsewhere."""
    assert_same_at_once(mlflow, front, ASKS, clients=8)
