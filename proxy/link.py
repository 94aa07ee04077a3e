"""The line between an agent and its workers: a socket pair that carries one JSON value per line."""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

LINK_FD_VARIABLE: Final = "HEADGATE_LINK_FD"
# A table of 1 000 routes is about 1 MiB of JSON; the rest is room, and a bound against a peer gone mad.
MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024
ORPHAN_SECONDS: Final = 60.0
"""How long a worker serves on after its agent is gone, before it drains and exits."""

Message = dict[str, Any]


class LinkError(Exception):
    """The other side of the link sent something that is no message, or nothing in time."""


class Lines:
    """Cuts a stream of bytes into messages."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take received bytes and return the messages that are now complete; LinkError on what is none."""
        self._buffer += data
        if b"\n" not in data:
            if len(self._buffer) > MESSAGE_BYTES_MAX:
                raise LinkError(f"message longer than {MESSAGE_BYTES_MAX} bytes")
            return []
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        return [parse_message(line) for line in lines]


def parse_message(line: bytes) -> Message:
    """Return one message from its line; LinkError if it is not a JSON object with a `type`."""
    try:
        # Not by orjson: with what it imports it would take 2 MB of every worker, for a message now and then.
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise LinkError(f"not JSON: {exc}") from exc
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise LinkError("not a JSON object with a type")
    return message


def encode_message(message: Message) -> bytes:
    """Return a message as its line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Listen:
    """One address that a worker listens on: descriptors of its sockets, by slot, or one that all share."""

    __slots__ = ("backlog", "fds", "given", "host", "port", "tls")

    def __init__(self, message: Message) -> None:
        self.host: str = message["host"]
        self.port: int = message["port"]
        self.backlog: int = message["backlog"]
        # Whether a service manager has opened it, who keeps it when we end.
        self.given: bool = message["given"]
        self.fds: list[int] = message["fds"]
        self.tls: Message | None = message.get("tls")


class Start:
    """What a worker is told before anything else."""

    __slots__ = (
        "boot",
        "compare",
        "feedback_key",
        "files",
        "index",
        "listeners",
        "page",
        "scores",
        "siblings",
        "table",
    )

    def __init__(self, message: Message) -> None:
        if message["type"] != "start":
            raise LinkError(f"the first message is {message['type']!r}, not 'start'")
        self.index: int = message["index"]
        self.boot: str = message["boot"]
        self.page: str = message["page"]
        # Pages of the other workers of this boot; they stay the same when one of those restarts.
        self.siblings: list[str] = message["siblings"]
        self.listeners = [Listen(listen) for listen in message["listeners"]]
        # The socket of the process that compares shadows' answers, if there is one.
        self.compare: str = message.get("compare", "")
        self.table: Message = message["table"]
        self.feedback_key: bytes = bytes.fromhex(message.get("feedback_key", ""))
        # What the divert of earlier workers knew: a slot and its score.
        self.scores: list[list[int]] = message.get("scores", [])
        # PEM texts by path, see `proxy.tls`.
        self.files: dict[str, str] = message.get("files", {})


class WorkerLink(asyncio.Protocol):
    """The worker's end. `read_start` blocks before the loop runs; `connect` then follows the rest on it.

    `on_table` gets each later table as plain JSON, `on_drain` is called once per order to drain, and
    `on_lost` when the agent is gone: the worker then serves on for at most `ORPHAN_SECONDS`. `others` take
    messages of further types.
    """

    def __init__(
        self,
        fd: int,
        on_table: Callable[[Message], None],
        on_drain: Callable[[], None],
        on_lost: Callable[[], None],
        others: Mapping[str, Callable[[Message], None]] | None = None,
    ) -> None:
        self._others = others or {}
        self._socket = socket.socket(fileno=fd)
        self._on_table = on_table
        self._on_drain = on_drain
        self._on_lost = on_lost
        self._lines = Lines()
        self._early: list[Message] = []
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def read_start(self, timeout: float = 30.0) -> Start:
        """Wait for the first message; LinkError when it does not come within `timeout` seconds."""
        self._socket.settimeout(timeout)
        while not self._early:
            try:
                data = self._socket.recv(65536)
            except TimeoutError as exc:
                raise LinkError(f"no start message within {timeout:g} s") from exc
            if not data:
                raise LinkError("the agent closed the link before the start message")
            self._early += self._lines.feed(data)
        return Start(self._early.pop(0))

    async def connect(self) -> None:
        """Follow the link on the running loop; messages that came early are handled first."""
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, sock=self._socket)

    def ready(self, addresses: list[tuple[str, int]]) -> None:
        """Say that the worker accepts connections on `addresses`."""
        self._send({"type": "ready", "addresses": addresses})

    def ack(self, revision: int) -> None:
        """Say that every request from now on is routed by table `revision`."""
        self._send({"type": "ack", "revision": revision})

    def endpoints(self, rows: list[list[object]]) -> None:
        """Say what is known of the endpoints: attempts, failures, ejections and so on of each."""
        self._send({"type": "endpoints", "rows": rows})

    def failed(self, message: str) -> None:
        """Say what went wrong in words an operator can act on; the worker goes on, or exits right after."""
        self._send({"type": "error", "message": message})

    def draining(self) -> None:
        """Say that the worker accepts nothing more, whoever told it so."""
        self._send({"type": "draining"})

    def drained(self) -> None:
        """Say that nothing is in flight any more and that the worker exits now."""
        self._send({"type": "drained"})

    def close(self) -> None:
        """Close the link after what was sent has gone out."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._socket.close()

    def _send(self, message: Message) -> None:
        data = encode_message(message)
        if self._transport is not None:
            if not self._transport.is_closing():
                self._transport.write(data)
            return
        # Before the loop follows the link, so that a start that fails can say why.
        self._socket.sendall(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        early, self._early = self._early, []
        for message in early:
            self._receive(message)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._lines.feed(data)
        except LinkError as exc:
            # A line that is no message means the stream is out of step: nothing after it can be trusted.
            self.failed(str(exc))
            self.close()
            return
        for message in messages:
            self._receive(message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.lost:
            self.lost = True
            self._on_lost()

    def _receive(self, message: Message) -> None:
        kind = message["type"]
        if kind == "table":
            self._on_table(message["table"])
        elif kind == "drain":
            self._on_drain()
        elif kind in self._others:
            self._others[kind](message)
        else:
            self.failed(f"unknown message {kind!r} from the agent; agent and worker differ in version")
