"""TLS to clients and to upstreams, with certificates that are good, bad, old, and replaced while in use."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import ssl
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import trustme

from tests.helpers.configurations import configuration
from tests.helpers.http import upstream
from tests.helpers.supervisors import Supervised, supervised
from tests.helpers.waiting import until, until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 60.0
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@dataclass(slots=True, kw_only=True)
class Stage:
    """A Headgate with a plain, a TLS and a mutual TLS listener, in front of servers with all sorts of TLS."""

    gate: Supervised
    folder: Path
    ca: trustme.CA
    client_ca: trustme.CA
    ports: list[int]

    async def get(self, path: str, *, listener: int, context: ssl.SSLContext | None) -> tuple[int, bytes]:
        """Ask a listener; raises what the client's side of TLS raises."""
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self.ports[listener],
                ssl=context,
                server_hostname="gate.test" if context else None,
            )
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: gate.test\r\nconnection: close\r\n\r\n".encode())
                answer = await reader.read()
            finally:
                writer.close()
        return int(answer.split(b" ")[1]), answer.partition(b"\r\n\r\n")[2]


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client that believes an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


def write(folder: Path, name: str, certificate: trustme.LeafCert) -> None:
    """Write a certificate and its key beside each other."""
    for suffix, pem in (
        ("pem", b"".join(blob.bytes() for blob in certificate.cert_chain_pems)),
        ("key", certificate.private_key_pem.bytes()),
    ):
        temporary = folder / f".{name}.{suffix}"
        temporary.write_bytes(pem)
        temporary.replace(folder / f"{name}.{suffix}")


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request by what it said of the client's scheme."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        (proto,) = [line[19:] for line in head.split("\r\n") if line.startswith("x-forwarded-proto: ")]
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(proto), proto.encode()))
        await writer.drain()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with contextlib.AsyncExitStack() as stack:
        yield await staged(stack, tmp_path_factory)


async def staged(stack: contextlib.AsyncExitStack, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Model servers that can prove who they are and others, and a Headgate in front of them."""
    folder = tmp_path_factory.mktemp("tls")
    ca, client_ca, stranger = trustme.CA(), trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    client_ca.cert_pem.write_to_path(folder / "client-ca.pem")
    write(folder, "gate", ca.issue_cert("gate.test"))
    write(folder, "self", client_ca.issue_cert("gate-as-client.test"))

    good = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(good)
    mutual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("model.test").configure_cert(mutual)
    client_ca.configure_trust(mutual)
    mutual.verify_mode = ssl.CERT_REQUIRED
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(
        "localhost", not_after=LONG_AGO, not_before=LONG_AGO - datetime.timedelta(1)
    ).configure_cert(expired)
    unknown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.issue_cert("localhost").configure_cert(unknown)
    contexts = {"plain": None, "good": good, "mutual": mutual, "expired": expired, "unknown": unknown}
    port = {
        name: (await stack.enter_async_context(upstream(answer, context=context))).port
        for name, context in contexts.items()
    }
    await stack.enter_async_context(upstream(answer, path=folder / "model.sock"))
    local = {"endpoints": [f"https://localhost:{port['good']}"], "tls": {"ca": "ca.pem"}}
    upstreams = {
        "plain": {"endpoints": [f"http://127.0.0.1:{port['plain']}"]},
        "local": {"endpoints": [f"unix:{folder / 'model.sock'}"]},
        "good": local,
        # Its certificate is for localhost, not for the address.
        "address": {**local, "endpoints": [f"https://127.0.0.1:{port['good']}"]},
        "mutual": {
            "endpoints": [f"https://127.0.0.1:{port['mutual']}"],
            "tls": {
                "ca": "ca.pem",
                "certificate": "self.pem",
                "key": "self.key",
                "server_name": "model.test",
            },
        },
        "nobody": {
            "endpoints": [f"https://127.0.0.1:{port['mutual']}"],
            "tls": {"ca": "ca.pem", "server_name": "model.test"},
        },
        "expired": {**local, "endpoints": [f"https://localhost:{port['expired']}"]},
        "unknown": {**local, "endpoints": [f"https://localhost:{port['unknown']}"]},
        "default": {"endpoints": [f"https://localhost:{port['good']}"]},
    }
    tls = {"certificate": "gate.pem", "key": "gate.key"}
    config = configuration(
        upstreams=upstreams,
        routes=[
            {"name": name, "match": {"path": f"/{name}"}, "upstream": name, "retries": {"attempts": 0}}
            for name in upstreams
        ],
        listeners=[
            {"bind": "127.0.0.1:0"},
            {"bind": "127.0.0.1:0", "tls": {**tls, "handshake": "3s"}},
            {"bind": "127.0.0.1:0", "tls": {**tls, "client_ca": "client-ca.pem"}},
        ],
    )
    gate = await stack.enter_async_context(supervised(folder, config))
    await gate.start()
    ready = await gate.ready()
    ports = [int(place.rpartition(":")[2]) for place in ready["listeners"]]
    return Stage(gate=gate, folder=folder, ca=ca, client_ca=client_ca, ports=ports)


async def test_clients_are_spoken_to_in_tls(stage: Stage) -> None:
    """HTTP/1.1 by ALPN; the upstream is told that the client used https, and http on the plain listener."""
    context = trusting(stage.ca)

    assert await stage.get("/plain", listener=1, context=context) == (200, b"https")
    assert await stage.get("/plain", listener=0, context=None) == (200, b"http")
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", stage.ports[1], ssl=context, server_hostname="gate.test"
    )
    agreed = writer.get_extra_info("ssl_object")
    assert (agreed.selected_alpn_protocol(), agreed.version()) == ("http/1.1", "TLSv1.3")
    writer.close()


async def test_old_versions_and_weak_ciphers_are_refused(stage: Stage) -> None:
    """TLS 1.1 gets an alert; TLS 1.2 with a key that is not ephemeral, too."""
    old = trusting(stage.ca)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    weak = trusting(stage.ca)
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA")

    for context in (old, weak):
        with pytest.raises((ssl.SSLError, OSError)):
            await stage.get("/plain", listener=1, context=context)

    new = trusting(stage.ca)
    new.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (await stage.get("/plain", listener=1, context=new))[0] == 200


async def test_a_client_has_to_show_its_certificate_where_one_is_asked_for(stage: Stage) -> None:
    """None, and one of another authority, get no answer; both are counted."""
    good, bad = trusting(stage.ca), trusting(stage.ca)
    stage.client_ca.issue_cert("client.test").configure_cert(good)
    trustme.CA().issue_cert("client.test").configure_cert(bad)
    before = await failed(stage)

    assert (await stage.get("/plain", listener=2, context=good))[0] == 200
    for context in (trusting(stage.ca), bad):
        with pytest.raises((ssl.SSLError, OSError, IndexError, ValueError)):
            await stage.get("/plain", listener=2, context=context)

    await until_async(lambda: _failed_since(stage, before, 2))


async def failed(stage: Stage) -> float:
    """Handshakes that came to nothing."""
    name = "headgate_tls_handshakes_failed_total"
    return sum(value for key, value in (await stage.gate.metrics()).items() if key.startswith(name))


async def test_certificates_tell_when_they_end(stage: Stage) -> None:
    """Those of listeners and those that endpoints are shown, by their files."""
    name = "headgate_certificate_expiry_timestamp_seconds"
    found = {key: value for key, value in (await stage.gate.metrics()).items() if key.startswith(name)}

    assert {key.partition('"')[2].rpartition("/")[2] for key in found} >= {'gate.pem"}', 'self.pem"}'}
    assert all(value > time.time() for value in found.values())


async def _failed_since(stage: Stage, before: float, count: int) -> bool:
    return await failed(stage) >= before + count


async def test_a_client_that_says_nothing_is_not_waited_for(stage: Stage) -> None:
    """A handshake has its time; plain HTTP on a TLS port is no handshake either."""
    before = await failed(stage)
    silent, writer = await asyncio.open_connection("127.0.0.1", stage.ports[1])
    with pytest.raises((OSError, IndexError, ValueError)):
        await stage.get("/plain", listener=1, context=None)

    async with asyncio.timeout(SECONDS):
        assert await silent.read() == b""
    writer.close()

    await until_async(lambda: _failed_since(stage, before, 2))


@pytest.mark.parametrize(
    ("upstream", "status"),
    [
        ("plain", 200),
        ("local", 200),
        ("good", 200),
        ("mutual", 200),
        ("address", 502),
        ("nobody", 502),
        ("expired", 502),
        ("unknown", 502),
        ("default", 502),
    ],
)
async def test_only_endpoints_that_prove_who_they_are_get_a_request(
    stage: Stage, upstream: str, status: int
) -> None:
    """Wrong name, expired, an authority that is not believed, and a missing certificate of ours are 502."""
    assert (await stage.get(f"/{upstream}", listener=0, context=None))[0] == status


async def test_certificates_are_replaced_while_in_use(stage: Stage) -> None:
    """Files that change are shown to the next client, broken ones are not taken, and no request fails."""
    context = trusting(stage.ca)
    statuses: list[int] = []
    enough = asyncio.Event()

    async def keep_asking() -> None:
        while not enough.is_set():
            statuses.append((await stage.get("/plain", listener=1, context=context))[0])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(keep_asking())
        for _ in range(3):
            before = await serial(stage)
            write(stage.folder, "gate", stage.ca.issue_cert("gate.test"))
            await until_async(partial(_other, stage, before), seconds=60, what=stage.gate.said)
        shown = await serial(stage)
        (stage.folder / "gate.key").write_bytes(stage.ca.issue_cert("x.test").private_key_pem.bytes())
        await until(lambda: "certificates not taken: " in stage.gate.said(), seconds=60)
        assert await serial(stage) == shown
        _, ready = await stage.gate.get("/readyz")
        assert "the files cannot be used" in ready
        write(stage.folder, "gate", stage.ca.issue_cert("gate.test"))
        await until_async(lambda: _other(stage, shown), seconds=60, what=stage.gate.said)
        enough.set()

    assert set(statuses) == {200}


async def serial(stage: Stage) -> str:
    """The number of the certificate that the TLS listener shows."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", stage.ports[1], ssl=trusting(stage.ca), server_hostname="gate.test"
    )
    number: str = writer.get_extra_info("peercert")["serialNumber"]
    writer.close()
    return number


async def _other(stage: Stage, before: str) -> bool:
    return await serial(stage) != before


async def test_missing_files_are_named_before_anything_starts(tmp_path: Path) -> None:
    """With the place in the configuration, all of them at once."""
    config = configuration(
        listeners=[{"bind": "127.0.0.1:0", "tls": {"certificate": "no.pem", "key": "no.key"}}],
        startup={"require_upstreams": False, "upstream_wait": "0s"},
    )
    async with supervised(tmp_path, config) as gate:
        await gate.start()

        assert await gate.ended() == 2

    said = gate.said()
    assert "listeners[0].tls.certificate: no.pem cannot be read: no such file or directory" in said
    assert "listeners[0].tls.key: no.key cannot be read" in said


async def test_the_admin_address_knows_people_by_their_certificates(stage: Stage, tmp_path: Path) -> None:
    """A name in the certificate is a role; others, and nobody, are asked for a token; it can be renewed."""
    write(tmp_path, "admin", stage.ca.issue_cert("127.0.0.1"))
    stage.client_ca.cert_pem.write_to_path(tmp_path / "people.pem")
    config = configuration(
        admin={
            "bind": "127.0.0.1:0",
            "tls": {
                "certificate": "admin.pem",
                "key": "admin.key",
                "client_ca": "people.pem",
                "clients": {"alice.test": "admin", "bob.test": "viewer"},
            },
        },
        startup={"require_upstreams": False, "upstream_wait": "0s"},
    )
    async with supervised(tmp_path, config) as gate:
        await gate.start()
        await until(gate.state.supervisor.exists, seconds=60)
        address = json.loads(gate.state.supervisor.read_text())["admin"]
        assert address.startswith("https://")

        async def ask(name: str, method: str, path: str) -> int:
            context = trusting(stage.ca)
            if name:
                stage.client_ca.issue_cert(name).configure_cert(context)
            async with aiohttp.ClientSession() as session:
                async with session.request(method, address + path, ssl=context) as response:
                    return response.status

        await until_async(lambda: _is(200, ask("alice.test", "GET", "/readyz")), seconds=60, what=gate.said)
        assert await ask("bob.test", "GET", "/readyz") == 200
        assert await ask("bob.test", "POST", "/-/reload") == 403
        assert await ask("alice.test", "POST", "/-/reload") == 200
        assert await ask("eve.test", "POST", "/-/reload") == 401
        assert await ask("", "POST", "/-/reload") == 401


async def _is(status: int, answer: Coroutine[Any, Any, int]) -> bool:
    try:
        return await answer == status
    except (aiohttp.ClientError, OSError):
        return False
