"""Sockets bound to addresses, and what is wrong with an address in words."""

import errno
import socket


class BindError(Exception):
    """An address cannot be listened on; says which, why, and what would do."""


def bound_socket(host: str, port: int, *, shared: bool) -> socket.socket:
    """Return a TCP socket bound to an address; BindError when it is taken or none of ours.

    `shared` lets other sockets of this user be bound beside it; each of them has to ask for that.
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


def place_of(host: str, port: int) -> str:
    """An address as people write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explain(host: str, port: int, exc: OSError) -> str:
    place = place_of(host, port)
    if exc.errno == errno.EADDRINUSE:
        return f"{place} is in use by another program; stop it, or choose another port"
    if exc.errno == errno.EACCES:
        return f"{place}: this user may not listen on port {port}; choose a port above 1023"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{place} is not an address of this machine; use one of its own, or 0.0.0.0 for all"
    return f"{place}: {(exc.strerror or str(exc)).lower()}; choose another address"
