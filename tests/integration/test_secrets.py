"""What is secret is planted everywhere, and must be found nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import trustme

from tests.helpers.configurations import configuration
from tests.helpers.model_server import model_servers, upstreams
from tests.helpers.supervisors import supervised
from tests.helpers.waiting import until_async

SECONDS = 60.0


async def test_no_secret_in_any_log_metric_error_or_file(tmp_path: Path) -> None:
    """Tokens right and wrong, keys, and what clients send in headers, cookies, queries and bodies."""
    planted = {
        name: f"{name}{secrets.token_hex(16)}" for name in ("token", "wrong", "header", "query", "body")
    }
    leaf = trustme.CA().issue_cert("gate.test")
    key = leaf.private_key_pem.bytes().decode()
    planted["key"] = key.splitlines()[3]
    folder = tmp_path / "keys"
    folder.mkdir()
    leaf.cert_chain_pems[0].write_to_path(folder / "gate.pem")
    leaf.private_key_pem.write_to_path(folder / "gate.key")
    token = {
        "name": "alice",
        "sha256": hashlib.sha256(planted["token"].encode()).hexdigest(),
        "role": "admin",
    }
    said: list[str] = []
    async with model_servers("v1") as servers:
        config = configuration(
            upstreams=upstreams(servers),
            routes=[{"name": "model", "upstream": "v1"}],
            admin={"bind": "127.0.0.1:0", "tokens": [token]},
            listeners=[
                {"bind": "127.0.0.1:0"},
                {"bind": "127.0.0.1:0", "tls": {"certificate": "keys/gate.pem", "key": "keys/gate.key"}},
            ],
        )
        async with supervised(tmp_path, config) as gate:
            await gate.start()
            await until_async(lambda: _ready(gate.get("/readyz")), seconds=60, what=gate.said)
            async with aiohttp.ClientSession() as session:
                admin = gate.admin()
                ports: list[str] = []
                for value in (planted["token"], planted["wrong"]):
                    headers = {"authorization": f"Bearer {value}"}
                    for method, path in (("GET", "/readyz"), ("GET", "/metrics"), ("POST", "/-/reload")):
                        async with session.request(method, admin + path, headers=headers) as response:
                            said.append(await response.text())
                            if path == "/readyz" and response.status in (200, 503):
                                body = await response.json()
                                ports = body.get("listeners", ports)
                said.append((await gate.get(f"/{planted['query']}?token={planted['query']}"))[1])
            host, _, port = ports[0].rpartition(":")
            head = (
                f"authorization: Bearer {planted['header']}\r\ncookie: c={planted['header']}\r\n"
                f"content-length: {len(planted['body'])}\r\n"
            )
            for first in (
                f"POST /x?q={planted['query']} HTTP/1.1\r\nhost: a\r\n",
                f"POST /x?q={planted['query']} HTTP/1.1\r\nhost: a\r\nhost: {planted['header']}\r\n",
                f"POST /x?q={planted['query']} HTTP/9.9\r\n{planted['header']}\r\n",
            ):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"{first}{head}connection: close\r\n\r\n{planted['body']}".encode())
                with contextlib.suppress(OSError):
                    said.append((await asyncio.wait_for(reader.read(), SECONDS)).decode())
                writer.close()
            # A key that does not fit, and one that is none.
            for text in (trustme.CA().issue_cert("x.test").private_key_pem.bytes().decode(), planted["key"]):
                (folder / "gate.key").write_text(text)
                await until_async(lambda: _refused(gate.said()), seconds=60)
            (folder / "gate.key").unlink()
            said.append((await gate.get("/readyz"))[1])
            await gate.stop()
        said.append(gate.said())
    written = [path for path in gate.state.root.rglob("*") if path.is_file()]
    assert any(path.name == "table.json" for path in written)
    outputs = {"what was said": "\n".join(said).encode()}
    outputs |= {path.name: path.read_bytes() for path in written}

    for name, secret in planted.items():
        for place, output in outputs.items():
            assert secret.encode() not in output, f"the {name} stands in {place}"


async def _ready(answer: Coroutine[Any, Any, tuple[int, str]]) -> bool:
    return (await answer)[0] == 200


async def _refused(log: str) -> bool:
    return "certificates not taken" in log
