"""MLServer with a scikit-learn model: clients get the same through Headgate, and streams come in time."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.real.environments import FOLDER, executable, execute, isolated
from tests.real.exchanges import TIMEOUT, Ask, assert_same, assert_same_at_once
from tests.real.front import Front, headgate_before
from tests.real.same import assert_counted, assert_same_told, statuses
from tests.real.servers import free_ports, serving
from tests.real.shadows import shadow_report

pytestmark = pytest.mark.real

JSON = {"content-type": "application/json"}
INFER = "/v2/models/clouds/infer"
TICKS = 5
PAUSE_SECONDS = 0.3


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLServer with two models: a classifier, and one that streams slowly."""
    with mlserver_in(tmp_path_factory.mktemp("mlserver")) as url:
        yield url


@contextmanager
def mlserver_in(folder: Path, points: int = 300) -> Iterator[str]:
    """Such a server, whose classifier has learned from so many points."""
    program = executable("mlserver", "mlserver")
    execute("mlserver", "models/train_clouds.py", str(folder), str(points), cwd=folder)
    port, grpc_port, metrics_port = free_ports(3)
    _write(folder / "clouds", "mlserver_sklearn.SKLearnModel", uri="../model.joblib", version="v1")
    _write(folder / "ticks", "ticking.Ticking")
    shutil.copy(FOLDER / "models/ticking.py", folder / "ticks")
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        # MLServer streams only without worker processes.
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    url = f"http://127.0.0.1:{port}"
    with serving([program, "start", "."], url=url, ready="/v2/health/ready", cwd=folder) as server:
        yield server


def _write(folder: Path, implementation: str, **parameters: str) -> None:
    folder.mkdir()
    about = {"name": folder.name, "implementation": implementation, "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def front(mlserver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Headgate before it."""
    with headgate_before(mlserver, tmp_path_factory.mktemp("gate")) as running:
        yield running


def test_triton_client(mlserver: str, front: Front, tmp_path: Path) -> None:
    """JSON, compressed both ways, errors, one after the other and many at once."""
    told, counted = assert_same_told("triton", "clients/ask_triton.py", mlserver, front, tmp_path)

    labels = told["json, large"]["labels"]
    assert {label for (label,) in labels} == {0, 1, 2}
    for name in ("request compressed", "response compressed", "both compressed"):
        assert told[name]["labels"] == labels, name
    assert told["both compressed, small"]["labels"] == told["json"]["labels"]
    assert len(told["at once"]) == len(told["one after the other"]) == 64
    assert statuses(told) == {
        # This server knows neither.
        "deflated": 422,
        "binary": 422,
        "binary, large": 422,
        "no such model": 404,
        "no such model, metadata": 404,
        "no such version": 404,
        "wrong shape": 500,
    }
    # Whether a model is ready: the client reads no more than the status.
    assert_counted(counted, {"ok": 12 + 64 + 64, "upstream_4xx": 7, "upstream_5xx": 1}, unread=2)


def test_kserve_client(mlserver: str, front: Front, tmp_path: Path) -> None:
    """The client of the protocol's own project."""
    told, counted = assert_same_told("kserve", "clients/ask_kserve.py", mlserver, front, tmp_path)

    assert told["model ready"] is True
    assert told["json"]["headers"]["ce-id"] == "r-1"
    assert [answer["id"] for answer in told["at once"]] == [f"r-{number}" for number in range(32)]
    assert statuses(told) == {
        "binary": 500,
        "binary, large": 500,
        "no such model": 404,
        "no inputs": 422,
        "wrong shape": 500,
    }
    assert_counted(counted, {"ok": 3 + 32 + 32, "upstream_4xx": 3, "upstream_5xx": 3})


def infer(name: str, rows: int = 2, path: str = INFER, **changes: Any) -> Ask:
    """Return a request for predictions of generated points."""
    source = random.Random(rows)
    data = [source.gauss(0, 8) for _ in range(4 * rows)]
    tensor = {"name": "predict", "shape": [rows, 4], "datatype": "FP64", "data": data} | changes
    body = json.dumps({"id": f"r-{name}", "inputs": [tensor]}).encode()
    return Ask(name=name, method="POST", path=path, headers=JSON, body=body)


def packed(ask: Ask, **headers: str) -> Ask:
    """Return a request with its body compressed."""
    assert isinstance(ask.body, bytes)
    headers = ask.headers | {"content-encoding": "gzip", **headers}
    return replace(ask, headers=headers, body=gzip.compress(ask.body, mtime=0))


def pieces(ask: Ask, size: int) -> Ask:
    """Return a request with its body sent in chunks."""
    assert isinstance(ask.body, bytes)
    return replace(ask, body=[ask.body[at : at + size] for at in range(0, len(ask.body), size)])


ASKS = [
    Ask(name="live", path="/v2/health/live"),
    Ask(name="metadata", path="/v2"),
    Ask(name="model", path="/v2/models/clouds"),
    Ask(name="schema", path="/v2/docs/dataplane.json", headers={"accept-encoding": "gzip"}),
    Ask(name="index", method="POST", path="/v2/repository/index", headers=JSON, body=b"{}"),
    infer("small"),
    infer("large", 20_000),
    packed(infer("compressed", 2_000)),
    packed(infer("compressed both ways", 2_000), **{"accept-encoding": "gzip"}),
    pieces(infer("in chunks", 2_000), 1000),
    infer("versioned", path="/v2/models/clouds/versions/v1/infer"),
    infer("no such version", path="/v2/models/clouds/versions/v9/infer"),
    infer("no such model", path="/v2/models/missing/infer"),
    infer("wrong shape", shape=[2, 3], data=[0.0] * 6),
    infer("wrong type", datatype="FLOAT"),
    Ask(name="no JSON", method="POST", path=INFER, headers=JSON, body=b'{"inputs": ['),
    Ask(name="no body", method="POST", path=INFER, headers=JSON, body=b""),
    Ask(
        name="false gzip", method="POST", path=INFER, headers=JSON | {"content-encoding": "gzip"}, body=b"{}"
    ),
    Ask(name="wrong method", path=INFER),
    Ask(name="head", method="HEAD", path="/v2/health/live"),
    Ask(name="no such path", path="/v2/nowhere?x=%2F&y"),
    Ask(name="encoded path", path="/v2/models/a%2Fb%20c"),
    infer("stream", path="/v2/models/ticks/infer_stream"),
]


def test_plain_http(mlserver: str, front: Front) -> None:
    """Status, header fields and every byte of the body."""
    direct = assert_same(mlserver, front, ASKS)

    assert json.loads(direct["small"].body)["outputs"][0]["shape"] == [2, 1]
    assert len(direct["large"].body) > 40_000
    assert direct["compressed both ways"].get("content-encoding") == "gzip"
    labels = json.loads(gzip.decompress(direct["compressed both ways"].body))["outputs"]
    assert labels == json.loads(direct["compressed"].body)["outputs"]
    assert labels == json.loads(direct["in chunks"].body)["outputs"]
    assert direct["stream"].get("transfer-encoding") == "chunked"
    assert direct["stream"].body.count(b"data: ") == TICKS
    refused = {name: answer.status for name, answer in direct.items() if answer.status != 200}
    assert refused == {
        "no such version": 404,
        "no such model": 404,
        "wrong shape": 500,
        "wrong type": 422,
        "no JSON": 422,
        "no body": 422,
        "false gzip": 400,
        "wrong method": 405,
        "head": 405,
        "no such path": 404,
        "encoded path": 404,
    }


def test_plain_http_at_once(mlserver: str, front: Front) -> None:
    """Eight connections at once, each with the same list of requests begun elsewhere."""
    assert_same_at_once(mlserver, front, ASKS, clients=8)


CURL = {
    "plain": [],
    "http 1.0": ["--http1.0"],
    "chunked": ["--header", "Transfer-Encoding: chunked"],
    "compressed": ["--compressed"],
    # Waits longer for the 100 than the test does.
    "expectation": ["--header", "Expect: 100-continue", "--expect100-timeout", "100"],
    # Offers an upgrade that the server passes over.
    "http 2": ["--http2"],
}


@pytest.mark.parametrize("options", CURL.values(), ids=CURL.keys())
def test_curl(mlserver: str, front: Front, tmp_path: Path, options: list[str]) -> None:
    """A megabyte up from curl, in each way it has of sending it."""
    asked = infer("curl", 12_000)
    assert isinstance(asked.body, bytes)
    (tmp_path / "body").write_bytes(asked.body)

    direct, through = (_curl(server, tmp_path, options) for server in (mlserver, front.url))

    assert direct[0] == 200
    assert json.loads(direct[1])["outputs"][0]["shape"] == [12_000, 1]
    assert through == direct
    assert front.blamed() == {}


def _curl(server: str, folder: Path, options: list[str]) -> tuple[int, bytes]:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed: apt-get install curl")
    done = subprocess.run(
        [
            *(
                program,
                "--silent",
                "--show-error",
                "--max-time",
                "30",
                "--header",
                "Content-Type: application/json",
            ),
            *("--data-binary", "@body", "--output", "answer", "--write-out", "%{http_code}", *options),
            server + INFER,
        ],
        cwd=folder,
        env=isolated(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout), (folder / "answer").read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """The parts of an event stream, and when each came, in seconds from the first."""

    parts: list[bytes]
    seconds: list[float]


def ticks(url: str, *, parts: int = TICKS) -> Stream:
    """Read that many parts of a slow stream, and close the connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    ask = infer("ticks", path="/v2/models/ticks/infer_stream")
    try:
        connection.request(ask.method, ask.path, ask.body, ask.headers)
        response = connection.getresponse()
        read: list[bytes] = []
        times: list[float] = []
        while len(read) < parts:
            part = b""
            while not part.endswith(b"\n\n"):
                piece = response.read1()
                assert piece, f"the stream ended after {len(read)} parts"
                part += piece
            read.append(part)
            times.append(time.monotonic())
        if parts == TICKS:
            assert response.read() == b""
    finally:
        connection.close()
    return Stream(parts=read, seconds=[now - times[0] for now in times])


def test_stream_in_time(mlserver: str, front: Front) -> None:
    """Each part comes when it was made, not when the stream is over; eight streams at once do so, too."""
    direct = ticks(mlserver)
    with ThreadPoolExecutor(8) as pool:
        streams = list(pool.map(ticks, [front.url] * 8))

    assert [json.loads(part[6:])["outputs"][0]["data"] for part in direct.parts] == [
        [f"tick {number}"] for number in range(TICKS)
    ]
    for stream in streams:
        assert stream.parts == direct.parts
        for number, seconds in enumerate(stream.seconds):
            assert abs(seconds - number * PAUSE_SECONDS) < PAUSE_SECONDS / 2
    assert front.blamed() == {}


def test_client_leaves_a_stream(mlserver: str, front: Front) -> None:
    """A client that closes in the middle is counted as that, and the server hears of it."""
    before = front.settled()

    assert len(ticks(front.url, parts=2).parts) == 2

    assert front.settled() - before == {"client_abort": 1}
    assert front.blamed() == {}
    assert len(ticks(mlserver).parts) == TICKS


def label_of(server: str, ask: Ask) -> object:
    """What a server says of an input, asked directly."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=TIMEOUT)
    try:
        connection.request(ask.method, ask.path, ask.body, ask.headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())["outputs"]
    finally:
        connection.close()


async def test_agreement_of_two_models_is_what_they_say_directly(
    mlserver: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another model agrees where it does offline, on the same inputs; the same model always does."""
    source = random.Random(11)
    asks = [
        infer(str(number), rows=1, data=[source.uniform(-12, 12) for _ in range(4)]) for number in range(200)
    ]
    with mlserver_in(tmp_path_factory.mktemp("other"), points=9) as other:
        offline = [label_of(mlserver, ask) == label_of(other, ask) for ask in asks]
        shown = await shadow_report(tmp_path_factory.mktemp("gate"), mlserver, other, asks, noise="100%")

    assert 0 < sum(offline) < len(asks)
    # The version in production, asked twice, with nothing but the default rules, always agrees.
    assert shown.agreed == [sum(offline), len(asks)]
    assert {entry["kind"] for entry in shown.report["differences"]["paths"]} == {"number"}
    assert shown.report["noise_floor"]["agreement"]["rate"] == 1.0
