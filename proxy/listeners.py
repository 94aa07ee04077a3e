"""The sockets that requests are accepted on: opened once, and kept while workers and programs change.

Each address has one socket for each worker, joined by SO_REUSEPORT, so that the kernel spreads connections
evenly. A worker borrows its socket from the process that opened it. When the worker is replaced, the
connections that the kernel has queued wait in the socket for the next one instead of being reset.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Protocol

from proxy.sockets import BindError, bound_socket, place_of


class Address(Protocol):
    """A host and a port."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


class ListenerConfig(Protocol):
    """What the configuration says about a listener."""

    @property
    def bind(self) -> Address: ...

    @property
    def backlog(self) -> int: ...

    @property
    def tls(self) -> BaseSettings | None: ...


class BaseSettings(Protocol):
    """Settings that have a plain form."""

    def model_dump(self) -> dict[str, Any]: ...


Wanted = tuple[str, int, int, dict[str, Any] | None]
"""Host, port (0 for any), backlog, and settings of TLS."""

Given = dict[str, Any]
"""A socket that a service manager has opened, as an entry of `Listening.listeners`."""


def wanted_of(configs: Iterable[ListenerConfig]) -> list[Wanted]:
    """What a configuration asks for."""
    return [
        (each.bind.host, each.bind.port, each.backlog, None if each.tls is None else each.tls.model_dump())
        for each in configs
    ]


class Listening:
    """The open sockets of all listeners.

    `listeners` describes each of them in plain values: host, port, backlog, `tls` (its settings, or None)
    and `fds`, one descriptor for each of `count` workers. A listener that a service manager has opened
    (`given`) has one, which all share.
    """

    def __init__(self, listeners: list[dict[str, Any]] | None = None, count: int = 0) -> None:
        self.listeners = listeners or []
        self.count = count

    @classmethod
    def open(
        cls,
        wanted: Sequence[Wanted],
        count: int,
        *,
        kept: Listening | None = None,
        earlier: Sequence[Sequence[Any]] = (),
    ) -> Listening:
        """Open what is wanted for `count` workers; what `kept` has of it is taken from there.

        Args:
            wanted: addresses in the order of the configuration.
            count: sockets for each of them.
            kept: sockets that are open already.
            earlier: addresses of workers that may still serve; a port left to chance is taken from there.

        Raises:
            BindError: an address cannot be listened on. Nothing was opened then, and `kept` is as it was.
        """
        opened: list[int] = []
        found = cls(count=count)
        try:
            for number, (host, port, backlog, tls) in enumerate(wanted):
                entry = _matching(kept, number, host, port)
                if entry is None and port == 0 and number < len(earlier):
                    entry = _beside(host, int(earlier[number][1]), opened)
                fds = [] if entry is None else list(entry["fds"])
                given = entry is not None and entry["given"]
                settled = port if entry is None else entry["port"]
                while len(fds) < count and not given:
                    held = bound_socket(host, settled, shared=True)
                    settled = held.getsockname()[1]
                    fds.append(held.detach())
                    opened.append(fds[-1])
                found.listeners.append(
                    {
                        "host": host,
                        "port": settled,
                        "backlog": backlog,
                        "given": given,
                        "tls": tls,
                        "fds": fds if given else fds[:count],
                    }
                )
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        return found

    @property
    def descriptors(self) -> list[int]:
        """All descriptors."""
        return [descriptor for entry in self.listeners for descriptor in entry["fds"]]

    def to_text(self) -> str:
        """The form in which a child is told what it inherits."""
        return json.dumps({"count": self.count, "listeners": self.listeners})

    @classmethod
    def from_text(cls, text: str) -> Listening:
        """What `to_text` was made from; the descriptors are those of this process, too."""
        value = json.loads(text)
        return cls(value["listeners"], value["count"])

    def close_all_but(self, kept: Listening | None = None) -> None:
        """Close the descriptors, except those that `kept` has, too."""
        still = set() if kept is None else set(kept.descriptors)
        for descriptor in self.descriptors:
            if descriptor not in still:
                os.close(descriptor)

    def end(self) -> None:
        """Refuse clients from now on, whoever else has the sockets; a service manager ends its own."""
        for entry in self.listeners:
            for descriptor in entry["fds"] if not entry["given"] else ():
                with socket.socket(fileno=os.dup(descriptor)) as sock, contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Give the addresses back."""
        self.close_all_but()
        self.listeners = []


def _matching(kept: Listening | None, number: int, host: str, port: int) -> dict[str, Any] | None:
    """The open sockets of an address; for a port left to chance, those of the listener in the same place."""
    if kept is None:
        return None
    for position, entry in enumerate(kept.listeners):
        chance = port == 0 and position == number and not entry["given"]
        if same_host(entry["host"], host) and (entry["port"] == port or chance):
            return entry
    return None


def _beside(host: str, port: int, opened: list[int]) -> dict[str, Any] | None:
    """A first socket beside those of workers that live; None when the port is gone."""
    try:
        held = bound_socket(host, port, shared=True)
    except BindError:
        return None
    opened.append(held.detach())
    return {"port": port, "given": False, "fds": [opened[-1]]}


_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, never bound


def same_host(one: str, other: str) -> bool:
    """Whether two hosts name the same interfaces, so that a socket on one serves for the other."""
    return _numeric(one) == _numeric(other) or {one, other} <= _ANY


def _numeric(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


# systemd hands descriptors over from 3 on (sd_listen_fds(3)).
FIRST_GIVEN = 3
GIVEN_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def given_sockets(environ: MutableMapping[str, str], pid: int) -> list[Given]:
    """Take the sockets that a service manager has opened for this process; its variables are removed.

    Raises:
        BindError: one of them is no listening TCP socket.
    """
    values = {name: environ.pop(name, "") for name in GIVEN_VARIABLES}
    if values["LISTEN_PID"] != str(pid) or not values["LISTEN_FDS"].isdecimal():
        return []
    found = []
    for descriptor in range(FIRST_GIVEN, FIRST_GIVEN + int(values["LISTEN_FDS"])):
        os.set_inheritable(descriptor, False)
        found.append(_given(descriptor))
    return found


def _given(descriptor: int) -> Given:
    try:
        sock = socket.socket(fileno=os.dup(descriptor))
    except OSError as exc:
        raise BindError(
            f"descriptor {descriptor} from the service manager is no socket; {exc.strerror}"
        ) from exc
    with sock:
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
            raise BindError(
                f"descriptor {descriptor} from the service manager is no TCP socket; use ListenStream="
            )
        host, port = sock.getsockname()[:2]
    return {"host": host, "port": port, "backlog": 0, "given": True, "fds": [descriptor]}


def unclaimed(given: Sequence[Given], wanted: Sequence[Wanted]) -> list[str]:
    """Addresses of given sockets that no listener is for."""
    return [
        place_of(entry["host"], entry["port"])
        for entry in given
        if not any(same_host(entry["host"], host) and entry["port"] == port for host, port, *_ in wanted)
    ]
