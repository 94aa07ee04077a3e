"""Probes find out which endpoints are down, and tell when they are back."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme

from config.health import Health
from config.load import load_text
from config.schema import Config
from proxy.probes import Prober, ask, path_of, targets
from tests.helpers.http import Message, answering, eventually, ok, refusing, upstream


def configured(ports: list[int], health: str) -> Config:
    """A configuration of one upstream with these probes."""
    urls = ", ".join(f"'http://127.0.0.1:{port}'" for port in ports)
    text = f"""
listeners: [{{bind: '127.0.0.1:0'}}]
upstreams: {{v1: {{endpoints: [{urls}]{health}}}}}
routes: [{{name: all, upstream: v1}}]
"""
    return load_text(text, file="h.yaml", environ={}).config


@pytest.mark.parametrize(
    ("health", "path"),
    [
        (Health(), "/healthz"),
        (Health(path="/live"), "/live"),
        (Health(kind="kserve"), "/v2/health/ready"),
        (Health(kind="kserve", model="fraud"), "/v2/models/fraud/ready"),
    ],
)
def test_what_is_asked(health: Health, path: str) -> None:
    """A path of one's own, or what the Open Inference Protocol asks for."""
    assert path_of(health) == path


async def test_endpoint_that_fails_and_recovers_is_told() -> None:
    """Two bad answers take an endpoint out, one good one brings it back; a dead one is down as well."""
    told: list[dict[str, list[str]]] = []
    status = 503

    def respond(request: Message) -> bytes:
        if status == 200:
            return ok()
        return f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n".encode()

    async with answering(respond) as sick, answering() as well:
        config = configured(
            [sick.port, well.port],
            ", health: {kind: kserve, interval: 20ms, timeout: 5s, unhealthy: 2, healthy: 1}",
        )
        assert [target.upstream for target in targets(config)] == ["v1", "v1"]
        prober = asyncio.create_task(Prober(lambda: config, told.append).run())
        await eventually(lambda: told == [{"v1": [f"127.0.0.1:{sick.port}"]}])
        status = 200
        await eventually(lambda: told[-1] == {})
        prober.cancel()
        await asyncio.wait([prober])

        assert sick.requests[0].start_line == "GET /v2/health/ready HTTP/1.1"
        assert len(told) == 2


async def test_probes_follow_the_configuration() -> None:
    """An upstream that loses its probes is not down any more."""
    told: list[dict[str, list[str]]] = []
    async with answering(lambda r: b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n") as sick:
        first = configured([sick.port], ", health: {interval: 20ms, unhealthy: 1}")
        second = configured([sick.port], "")
        current = [first]
        prober = asyncio.create_task(Prober(lambda: current[0], told.append).run())
        await eventually(lambda: bool(told) and bool(told[-1]))
        current[0] = second
        await eventually(lambda: told[-1] == {})
        prober.cancel()
        await asyncio.wait([prober])


async def test_endpoints_are_reached_as_requests_reach_them(tmp_path: Path) -> None:
    """By TLS with what the upstream believes, or a Unix socket; one that cannot prove itself is down."""
    told: list[dict[str, list[str]]] = []
    asked: list[str] = []
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("model.test").configure_cert(context)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.write(ok())

    path = tmp_path / "model.sock"
    health = "health: {interval: 20ms, timeout: 10s, unhealthy: 1, healthy: 1}"
    async with upstream(answer, context=context) as secure, upstream(answer, path=path):
        port = secure.port
        text = f"""
listeners: [{{bind: '127.0.0.1:0'}}]
upstreams:
  good: {{endpoints: ['https://127.0.0.1:{port}'], tls: {{ca: ca.pem, server_name: model.test}}, {health}}}
  local: {{endpoints: ['unix:{path}'], {health}}}
  gone: {{endpoints: ['unix:{path}.none'], {health}}}
  other: {{endpoints: ['https://127.0.0.1:{port}'], tls: {{ca: ca.pem, server_name: else.test}}, {health}}}
routes: [{{name: all, upstream: good}}]
"""
        config = load_text(text, file="h.yaml", environ={}).config
        files = {"ca.pem": ca.cert_pem.bytes().decode()}
        prober = asyncio.create_task(Prober(lambda: config, told.append, lambda: files).run())
        down = {"gone": [f"{path}.none"], "other": [f"127.0.0.1:{port}"]}
        await eventually(lambda: bool(told) and told[-1] == down)
        await eventually(lambda: len({request.split("host: ")[1] for request in asked}) == 2)
        prober.cancel()
        await asyncio.wait([prober])

    assert told[-1] == down
    assert {request.split(" ")[1] for request in asked} == {"/healthz"}


async def test_a_refused_connection_is_said_in_words() -> None:
    """Nothing of TLS where there is none, and no address twice."""
    with refusing() as port:
        (target,) = targets(configured([port], ", health: {kind: http}"))

        async with aiohttp.ClientSession() as session:
            assert await ask(session, target) == "connection refused"
