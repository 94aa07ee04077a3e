"""Shadows under the real agent: workers and the comparing process are killed, and every count adds up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import trustme

from proxy.launch import child_environment, python_command
from tests.helpers.configurations import configuration
from tests.helpers.headgate import Headgate, headgate
from tests.helpers.http import Message, answering, connected, ok, post, read_response
from tests.helpers.shadow_reports import settled
from tests.helpers.supervisors import supervised
from tests.helpers.waiting import until, until_async

CLIENTS = 8
SECONDS = 60.0
ROUTES = [
    {
        "name": "fraud",
        "split": {"kind": "direct", "upstream": "v1"},
        "shadows": [{"upstream": "v2", "limits": {"lag": "0s", "body": 1000}}],
    }
]


def model(host: str) -> Any:
    """A server whose answers name it, and are otherwise the same."""

    def answer(request: Message) -> bytes:
        value = {"id": request.get("x-request-id"), "label": len(request.body) % 3, "host": {"name": host}}
        return ok(json.dumps(value).encode(), "content-type: application/json\r\n")

    return answering(answer)


class Traffic:
    """Clients that ask one after the other until they are told to stop, and come back when cut off."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = False
        self.statuses: Counter[int] = Counter()
        self.cut_off = 0

    async def run(self, seconds_least: float = 0.0, until_answers: int = 0) -> None:
        """Ask for at least so long, and until so many more answers have come."""
        loop = asyncio.get_running_loop()
        end, goal = loop.time() + seconds_least, self.statuses.total() + until_answers

        async def client() -> None:
            number = 0
            while loop.time() < end or self.statuses.total() < goal:
                try:
                    async with connected(self._port) as (reader, writer):
                        while loop.time() < end or self.statuses.total() < goal:
                            number += 1
                            # Every fifth is too large to be copied.
                            writer.write(post(b"x" * (2000 if number % 5 == 0 else 100 + number % 7)))
                            self.statuses[(await read_response(reader)).status] += 1
                except (OSError, EOFError, asyncio.IncompleteReadError):
                    self.cut_off += 1

        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def kill_a_worker_under(traffic: Traffic, gate: Headgate) -> None:
    """Kill a worker while clients ask, and wait until another has its place."""
    running = asyncio.create_task(traffic.run(seconds_least=1.0))
    before = traffic.statuses.total()
    await until(lambda: traffic.statuses.total() > before + 50, seconds=SECONDS, what=gate.said)
    killed = gate.workers()[0]
    gate.kill(killed)
    await running
    await until(
        lambda: killed not in gate.workers() and len(gate.workers()) == 2, seconds=SECONDS, what=gate.said
    )


async def cli(gate: Headgate, *arguments: str) -> str:
    """What a command of the program says."""
    ran = await asyncio.create_subprocess_exec(
        *python_command("control.cli", *arguments, "--admin", gate.admin),
        cwd=gate.folder,
        env=child_environment({"NO_COLOR": "1"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await ran.communicate()
    assert ran.returncode == 0, err.decode()
    return out.decode()


def check(report: Any) -> None:
    """Every eligible request has one fate, every copy one end."""
    requests = report["requests"]
    skipped = sum(sum(sizes.values()) for sizes in requests["skipped_by_reason"].values())
    assert skipped == requests["skipped"]
    assert requests["eligible"] == requests["mirrored"] + skipped + requests["held_or_lost"]
    assert requests["mirrored"] == sum(report["answers"].values()) + report["lost"]
    pairs = report["pairs"]
    ended = sum(report["answers"].values())
    assert ended == pairs["handed_over"] + sum(pairs["not_compared"].values())
    assert report["agreement"]["compared"] == pairs["compared"]
    assert pairs["handed_over"] == pairs["compared"] + pairs["lost_by_comparer"] + pairs["waiting_or_lost"]
    assert pairs["waiting_or_lost"] >= 0


async def test_counts_add_up_over_killed_workers_and_a_killed_comparer(tmp_path: Path) -> None:
    """What a killed process took along is named; clients notice nothing of the comparer's end."""
    async with contextlib.AsyncExitStack() as stack:
        primary = await stack.enter_async_context(model("a"))
        shadow = await stack.enter_async_context(model("b"))
        config = {
            "workers": 2,
            "upstreams": {
                "v1": {"endpoints": [f"http://127.0.0.1:{primary.port}"]},
                "v2": {"endpoints": [f"http://127.0.0.1:{shadow.port}"]},
            },
            "routes": ROUTES,
        }
        gate = await stack.enter_async_context(headgate(tmp_path, config))
        await until(lambda: comparers(gate), seconds=SECONDS, what=gate.said)
        traffic = Traffic(gate.port)

        # The comparer dies: pairs are lost and counted, and not one request fails.
        await traffic.run(until_answers=200)
        gate.kill(comparers(gate)[0])
        await traffic.run(until_answers=200)
        assert set(traffic.statuses) == {200}
        assert traffic.cut_off == 0
        await until(lambda: comparers(gate), seconds=SECONDS, what=gate.said)
        compared = (await settled(gate, "fraud/v2"))["agreement"]["compared"]

        async def goes_on() -> bool:
            await traffic.run(until_answers=20)
            return bool((await gate.get("/v1/shadows/fraud/v2"))["agreement"]["compared"] > compared)

        await until_async(goes_on, seconds=SECONDS, what=gate.said)

        async def all_named() -> bool:
            return bool((await gate.get("/v1/shadows/fraud/v2"))["pairs"]["waiting_or_lost"] == 0)

        # What the process took along has a name of its own; everything else is compared.
        await until_async(all_named, seconds=SECONDS, what=gate.said)
        report = await settled(gate, "fraud/v2")
        check(report)
        assert report["lost"] == report["requests"]["held_or_lost"] == 0
        assert report["requests"]["eligible"] == traffic.statuses.total() == len(primary.requests)
        assert report["requests"]["mirrored"] == len(shadow.requests)
        assert report["pairs"]["not_compared"]["comparer"] > 0

        # Workers die under load, one after the other; another takes the place of each.
        for _ in range(2):
            await kill_a_worker_under(traffic, gate)
        await traffic.run(until_answers=50)
        report = await settled(gate, "fraud/v2")
        check(report)
        answered, requests = traffic.statuses.total(), report["requests"]
        assert answered <= requests["eligible"] <= answered + traffic.cut_off
        # Named: copies that were under way, and requests that had not come to be copied.
        assert 0 <= report["lost"] <= 2 * CLIENTS
        assert 0 <= requests["held_or_lost"] <= 2 * CLIENTS
        assert requests["mirrored"] - report["lost"] <= len(shadow.requests) <= requests["mirrored"]

        # What an operator sees of it, and does about it.
        shown = json.loads(await cli(gate, "shadow", "report", "fraud/v2", "-o", "json"))["shadows"]
        assert shown[0]["requests"] == requests
        assert "/host/name" in await cli(gate, "shadow", "report")
        rule = await cli(gate, "shadow", "ignore-rule")
        assert "ignore:" in rule
        assert "/host/name" in rule


async def test_a_copy_is_rewritten_and_encrypted_as_its_own_upstream_says(tmp_path: Path) -> None:
    """The primary's rewriting stays the primary's; an https:// endpoint gets the copy over TLS."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    async with contextlib.AsyncExitStack() as stack:
        primary = await stack.enter_async_context(answering())
        plain = await stack.enter_async_context(answering())
        encrypted = await stack.enter_async_context(answering(context=context))
        path = {"prefix": "/models", "replace": "/v1"}
        upstreams = {
            "v1": {
                "endpoints": [f"http://127.0.0.1:{primary.port}"],
                "rewrite": {"path": path, "add": {"x-for": "primary"}},
            },
            "v2": {"endpoints": [f"http://127.0.0.1:{plain.port}"]},
            "v3": {
                "endpoints": [f"https://localhost:{encrypted.port}"],
                "tls": {"ca": "ca.pem"},
                "rewrite": {"path": path | {"replace": "/v3"}, "host": "model.test"},
            },
        }
        shadows = [{"upstream": name, "limits": {"lag": "0s"}} for name in ("v2", "v3")]
        route = {"name": "all", "split": {"kind": "direct", "upstream": "v1"}, "shadows": shadows}
        config = configuration(upstreams=upstreams, routes=[route])
        gate = await stack.enter_async_context(supervised(tmp_path, config))
        await gate.start()
        ready = await gate.ready()
        async with connected(int(ready["listeners"][0].rpartition(":")[2])) as (reader, writer):
            for body in (b"small", b"x" * 100_000):
                writer.write(post(body, "/models/fraud?a=1", extra="x-headgate-shadow: 0\r\n"))
                assert (await read_response(reader)).status == 200
        await until(
            lambda: len(encrypted.requests) == len(plain.requests) == 2, seconds=SECONDS, what=gate.said
        )

    for number, size in enumerate((5, 100_000)):
        first, second, third = primary.requests[number], plain.requests[number], encrypted.requests[number]
        assert first.start_line == "POST /v1/fraud?a=1 HTTP/1.1"
        assert first.get("x-for") == "primary"
        assert second.start_line == "POST /models/fraud?a=1 HTTP/1.1"
        assert second.get("x-for") is None
        assert third.start_line == "POST /v3/fraud?a=1 HTTP/1.1"
        assert third.get("host") == "model.test"
        for copy in (second, third):
            assert [value for name, value in copy.fields if name == "x-headgate-shadow"] == ["1"]
            assert len(copy.body) == size


def comparers(gate: Headgate) -> list[int]:
    """The living comparing processes."""
    return [pid for pid, line in gate.members().items() if "-m proxy.compare.process " in f"{line} "]


async def test_each_copy_names_the_model_as_its_own_upstream_does(tmp_path: Path) -> None:
    """Its upstream's name, or the client's; what servers call the model is no difference."""

    def echo(request: Message) -> bytes:
        asked = json.loads(request.body)
        if asked.get("stream"):
            event = {"model": asked["model"], "choices": [{"index": 0, "delta": {"content": "hi"}}]}
            stream = f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode()
            return ok(stream, "content-type: text/event-stream\r\n")
        return ok(
            json.dumps({"model": asked["model"], "n": 1}).encode(), "content-type: application/json\r\n"
        )

    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(answering(echo)) for _ in range(3)]
        names = {"v1": "llama-int8", "v2": "llama-fp8-with-a-longer-name", "v3": None}
        config = {
            "upstreams": {
                name: {"endpoints": [f"http://127.0.0.1:{server.port}"]}
                | ({"rewrite": {"model": model}} if model else {})
                for (name, model), server in zip(names.items(), servers, strict=True)
            },
            "routes": [
                {
                    "name": name,
                    "match": {"path_prefix": f"/{name}"},
                    "split": {"kind": "direct", "upstream": primary},
                    "shadows": [{"upstream": shadow, "limits": {"lag": "0s"}} for shadow in shadows],
                }
                for name, primary, shadows in (("renamed", "v1", ("v2", "v3")), ("plain", "v3", ("v1",)))
            ],
        }
        gate = await stack.enter_async_context(headgate(tmp_path, config))
        await until(lambda: comparers(gate), seconds=SECONDS, what=gate.said)

        async def ask_all() -> bool:
            for path in ("/renamed", "/plain"):
                async with connected(gate.port) as (reader, writer):
                    for body in (b'{"model": "chat", "n": 1}', b'{"stream": true, "model": "chat"}'):
                        writer.write(post(body, path))
                        assert b'"model": "chat"' in (await read_response(reader)).body
                        pieces = b"".join(
                            b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:])
                        )
                        head = f"POST {path} HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
                        writer.write(head.encode() + pieces + b"0\r\n\r\n")
                        assert b'"model": "chat"' in (await read_response(reader)).body
            found = [await gate.get(f"/v1/shadows/{which}") for which in WHICH]
            return all(one["agreement"]["compared"] >= 8 for one in found)

        await until_async(ask_all, seconds=SECONDS, what=gate.said)
        for which in WHICH:
            report = await gate.get(f"/v1/shadows/{which}")
            assert report["agreement"]["rate"] == 1.0, report["differences"]
        for server, (name, model) in zip(servers, names.items(), strict=True):
            asked = {json.loads(request.body)["model"] for request in server.requests}
            assert asked == {model or "chat"}, name
            copies = [request for request in server.requests if request.get("x-headgate-shadow") == "1"]
            assert len(copies) >= 8, name


WHICH = ("renamed/v2", "renamed/v3", "plain/v1")
