"""Keeps the listeners' ports for the workers, and tells early when another program has one."""

import errno
import socket
from collections.abc import Sequence
from typing import Any, Protocol


class BindError(Exception):
    """An address cannot be listened on; says which, why, and what would do."""


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


class Reservation:
    """Listening addresses with their ports settled, held by bound sockets that never listen.

    The workers bind beside them with SO_REUSEPORT; the kernel gives connections only to sockets that listen.
    So a port that was left to chance stays ours while no worker lives.
    """

    def __init__(self, configs: Sequence[ListenerConfig], earlier: Sequence[Sequence[Any]] = ()) -> None:
        """Bind all addresses; `earlier` are those of workers that may still serve. Raises BindError."""
        self.listeners: list[dict[str, Any]] = []
        self._sockets: list[socket.socket] = []
        try:
            for number, config in enumerate(configs):
                port = config.bind.port
                if port == 0 and number < len(earlier):
                    port = int(earlier[number][1])
                held = self._hold(config.bind.host, port, chosen=config.bind.port != 0)
                self._sockets.append(held)
                self.listeners.append(
                    {"host": config.bind.host, "port": held.getsockname()[1], "backlog": config.backlog}
                )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the ports back."""
        for held in self._sockets:
            held.close()

    @staticmethod
    def _hold(host: str, port: int, *, chosen: bool) -> socket.socket:
        try:
            return bound_socket(host, port, shared=True)
        except BindError:
            if chosen or port == 0:
                raise
            return bound_socket(host, 0, shared=True)


def bound_socket(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return a TCP socket bound to an address; BindError when it is taken or none of ours.

    `shared` lets other processes of this user bind it too, which a program must ask for before and after us.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
        if not shared:
            # SO_REUSEADDR lets two sockets bind an address; it takes listen to find out that one listens.
            bound.listen(1)
    except OSError as exc:
        bound.close()
        raise BindError(_explain(host, port, exc)) from exc
    return bound


def inherited_socket(descriptor: int) -> socket.socket:
    """Return a bound socket that the parent process has opened."""
    return socket.socket(fileno=descriptor)


def _explain(host: str, port: int, exc: OSError) -> str:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if exc.errno == errno.EADDRINUSE:
        return f"{place} is in use by another program; stop it, or choose another port"
    if exc.errno == errno.EACCES:
        return f"{place}: this user may not listen on port {port}; choose a port above 1023"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{place} is not an address of this machine; use one of its own, or 0.0.0.0 for all"
    return f"{place}: {(exc.strerror or str(exc)).lower()}; choose another address"
