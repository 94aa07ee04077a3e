"""nginx and HAProxy as they are asked the same: their configuration, and what they let through."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance.case import End, RequestCase, ResponseCase
from tests.conformance.client import Line, cut
from tests.conformance.script import ModelConnection, Script

# How long a peer may take for what it does not announce, such as a close; a silence is what it is.
QUIET_SECONDS: Final = 0.4
# Fifty milliseconds apart.
TRIES: Final = 200

NGINX: Final = """\
daemon off; worker_processes 1; pid @DIR@/nginx.pid; error_log @DIR@/error.log;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi; uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
  large_client_header_buffers 4 16k; client_max_body_size 4k;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_buffering off; proxy_request_buffering off; proxy_buffer_size 16k; proxy_buffers 8 16k;
  proxy_next_upstream off;
  upstream model { server 127.0.0.1:@UPSTREAM@; keepalive 8; }
  server { listen 127.0.0.1:@PORT@; location / { proxy_pass http://model; } }
}
"""
HAPROXY: Final = """\
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  retries 0
  option http-no-delay
  http-reuse always
frontend in
  bind 127.0.0.1:@PORT@
  default_backend model
backend model
  server one 127.0.0.1:@UPSTREAM@
"""
COMMANDS: Final = {
    "nginx": (NGINX, ("nginx", "-p", "@DIR@", "-c")),
    "HAProxy": (HAPROXY, ("haproxy", "-db", "-q", "-f")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a proxy made of a case."""

    passed: int
    """Whole requests that reached the model server, or whole answers of it that reached the client."""
    statuses: tuple[int, ...]
    end: End

    def words(self) -> str:
        """The same for people."""
        said = " ".join(map(str, self.statuses)) or {End.STAYS: "silence"}.get(self.end, "closed")
        return f"passes, {said}" if self.passed else said


class Peer:
    """One running proxy and the model server behind it."""

    def __init__(self, name: str, port: int, script: Script) -> None:
        self.name = name
        self.port = port
        self.script = script

    async def request(self, case: RequestCase) -> Verdict:
        """Send a request case, and see how many requests arrive."""
        self.script.reset()
        line = await Line.open(self.port)
        try:
            await line.send(case.send)
            await line.read_answers(max(1, len(case.answers)), case.heads, QUIET_SECONDS)
            if case.end != End.STAYS:
                await line.read_to_end(QUIET_SECONDS)
        finally:
            await line.close()
        await asyncio.sleep(0.02)
        passed = sum(one.whole for one in self.script.everything())
        return _verdict(line, case.heads, passed)

    async def response(self, case: ResponseCase) -> Verdict:
        """Let the model server answer as the case says, and see what arrives."""
        self.script.reset(case)
        heads = (0,) if case.to_head else ()
        line = await Line.open(self.port)
        try:
            await line.send(case.request)
            await line.read_answers(1, heads, QUIET_SECONDS)
            if case.end != End.STAYS:
                await line.read_to_end(QUIET_SECONDS)
        finally:
            await line.close()
        await asyncio.sleep(0.02)
        answers, _ = _cut(line, heads)
        # A status of the proxy's own is never one that the model server has said in these cases.
        said = {int(step[9:12]) for step in case.reply if isinstance(step, bytes) and step[9:12].isdigit()}
        own = {502, 503, 504} - said
        return _verdict(line, heads, sum(answer not in own for answer in answers))


@contextlib.asynccontextmanager
async def running(name: str, directory: Path) -> AsyncIterator[Peer]:
    """Start a peer on free ports, with a scripted model server behind it."""
    script = Script()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ModelConnection(script), "127.0.0.1", 0)
    upstream = server.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text, command = COMMANDS[name]
    values = {"@DIR@": str(directory), "@PORT@": str(port), "@UPSTREAM@": str(upstream)}
    for mark, value in values.items():
        text = text.replace(mark, value)
    file = directory / f"{name}.conf"
    file.write_text(text)
    arguments = [values.get(part, part) for part in command]
    program = shutil.which(arguments[0]) or f"/usr/sbin/{arguments[0]}"
    process = await asyncio.create_subprocess_exec(program, *arguments[1:], str(file))
    try:
        for _ in range(TRIES):
            if await _accepts(port):
                break
            await asyncio.sleep(0.05)
        yield Peer(name, port, script)
    finally:
        process.terminate()
        await process.wait()
        server.close()


async def _accepts(port: int) -> bool:
    try:
        line = await Line.open(port)
    except OSError:
        return False
    await line.close()
    return True


def _cut(line: Line, heads: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Statuses of final and informational answers; what is no answer at all is none."""
    if line.data and not line.data.startswith(b"HTTP/1."):
        return [], []
    final, informational = cut(line.data, heads, ended=line.end == End.CLOSES)
    return [answer.status for answer in final], [answer.status for answer in informational]


def _verdict(line: Line, heads: tuple[int, ...], passed: int) -> Verdict:
    return Verdict(passed=passed, statuses=tuple(_cut(line, heads)[0]), end=line.end)
