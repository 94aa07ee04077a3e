"""Tests of the listeners' ports."""

import socket
from dataclasses import dataclass

import pytest

from proxy.listeners import BindError, Reservation, bound_socket


@dataclass
class Bind:
    """An address."""

    host: str
    port: int


@dataclass
class Listener:
    """A listener as configured."""

    bind: Bind
    backlog: int = 16


def listener(port: int) -> Listener:
    """A listener on loopback."""
    return Listener(Bind("127.0.0.1", port))


def test_port_left_to_chance_stays_ours() -> None:
    """A reserved port is settled, accepts workers beside it, and nothing connects while none listens."""
    reservation = Reservation([listener(0)])
    port = reservation.listeners[0]["port"]

    worker = bound_socket("127.0.0.1", port, shared=True)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)
    worker.listen()
    socket.create_connection(("127.0.0.1", port), 1).close()

    assert reservation.listeners == [{"host": "127.0.0.1", "port": port, "backlog": 16}]
    worker.close()
    reservation.close()


def test_next_agent_gets_the_same_port() -> None:
    """Clients of a port that was left to chance find it again after a restart of the agent."""
    first = Reservation([listener(0)])
    port = first.listeners[0]["port"]

    second = Reservation([listener(0)], [["127.0.0.1", port]])

    assert second.listeners[0]["port"] == port
    first.close()
    second.close()


def test_lost_port_is_replaced_only_if_it_was_chance() -> None:
    """When another program has the earlier port, a chance port moves; a configured one is an error."""
    other = bound_socket("127.0.0.1", 0, shared=False)
    port = other.getsockname()[1]

    moved = Reservation([listener(0)], [["127.0.0.1", port]])

    assert moved.listeners[0]["port"] != port
    with pytest.raises(BindError, match=f"127.0.0.1:{port} is in use by another program; stop it"):
        Reservation([listener(port)])
    moved.close()
    other.close()


def test_shared_listener_of_a_stranger_is_noticed() -> None:
    """A program that would share the port with us is found by asking for it alone."""
    stranger = bound_socket("127.0.0.1", 0, shared=True)
    stranger.listen()
    port = stranger.getsockname()[1]

    with pytest.raises(BindError, match="in use"):
        bound_socket("127.0.0.1", port, shared=False)
    stranger.close()


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("203.0.113.1", "is not an address of this machine"),
        ("no-such-host.invalid", "choose another address"),
    ],
)
def test_impossible_address(host: str, text: str) -> None:
    """An address that is none of ours is named."""
    with pytest.raises(BindError, match=text) as error:
        bound_socket(host, 0, shared=False)

    assert host in str(error.value)


def test_failed_reservation_gives_everything_back() -> None:
    """Of two listeners, the first is free again when the second cannot be had."""
    other = bound_socket("127.0.0.1", 0, shared=False)
    free = bound_socket("127.0.0.1", 0, shared=False)
    port = free.getsockname()[1]
    free.close()

    with pytest.raises(BindError):
        Reservation([listener(port), listener(other.getsockname()[1])])

    bound_socket("127.0.0.1", port, shared=False).close()
    other.close()
