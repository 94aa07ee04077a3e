"""Tests of the sockets that outlive workers, agents and programs."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.listeners import Listening, given_sockets, same_host, unclaimed
from proxy.sockets import BindError, bound_socket

LOCAL = ("127.0.0.1", 0, 16, None)


@pytest.fixture
def opened() -> Iterator[list[Listening]]:
    """Everything put in here is closed."""
    all_of_them: list[Listening] = []
    yield all_of_them
    closed: set[int] = set()
    for listening in all_of_them:
        for descriptor in set(listening.descriptors) - closed:
            os.close(descriptor)
        closed |= set(listening.descriptors)


def socket_of(descriptor: int) -> socket.socket:
    """The socket behind a descriptor, by a descriptor of its own."""
    return socket.socket(fileno=os.dup(descriptor))


def test_each_worker_has_a_socket_of_its_own_at_one_port(opened: list[Listening]) -> None:
    """Nothing connects before a worker listens; then connections are spread over those that do."""
    listening = Listening.open([LOCAL], 3)
    opened.append(listening)
    (entry,) = listening.listeners
    address = ("127.0.0.1", entry["port"])

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 1)
    workers = [socket_of(descriptor) for descriptor in entry["fds"]]
    for worker in workers:
        worker.listen(64)
        worker.setblocking(False)
    clients = [socket.create_connection(address, 1) for _ in range(60)]

    shares = [accepted(worker) for worker in workers]
    assert sum(shares) == len(clients)
    # By chance alone a worker of three stays without any of 60 once in ten thousand million tries.
    assert min(shares) > 0
    for each in (*clients, *workers):
        each.close()


def accepted(worker: socket.socket) -> int:
    """Accept what is queued and count it."""
    count = 0
    while True:
        try:
            worker.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_what_is_queued_waits_for_the_next_worker(opened: list[Listening]) -> None:
    """A worker that dies leaves its queue to whoever gets the socket after it."""
    listening = Listening.open([LOCAL], 1)
    opened.append(listening)
    (entry,) = listening.listeners
    first = socket_of(entry["fds"][0])
    first.listen(8)
    client = socket.create_connection(("127.0.0.1", entry["port"]), 1)
    client.sendall(b"hello")

    first.close()
    second = socket_of(entry["fds"][0])

    served, _ = second.accept()
    assert served.recv(16) == b"hello"
    for each in (served, second, client):
        each.close()


def test_an_upgrade_keeps_what_it_can(opened: list[Listening]) -> None:
    """Sockets of an address that stays are the same; a new worker gets one beside them; the rest goes."""
    before = Listening.open([LOCAL, LOCAL], 2)
    first, second = (entry["port"] for entry in before.listeners)

    after = Listening.open([("127.0.0.1", second, 32, None), LOCAL], 3, kept=before)
    opened.append(after)

    kept, fresh = after.listeners
    assert kept["port"] == second
    assert kept["fds"][:2] == before.listeners[1]["fds"]
    assert kept["backlog"] == 32
    assert fresh["port"] not in (first, second) or fresh["fds"][:2] == before.listeners[1]["fds"]
    before.close_all_but(after)
    assert len(after.descriptors) == 6
    for descriptor in after.descriptors:
        os.fstat(descriptor)


def test_fewer_workers_have_fewer_sockets(opened: list[Listening]) -> None:
    """What the upgrade does not name is not inherited."""
    before = Listening.open([LOCAL], 3)
    opened.append(before)

    after = Listening.open([("127.0.0.1", before.listeners[0]["port"], 16, None)], 1, kept=before)

    assert after.descriptors == before.descriptors[:1]
    assert after.count == 1


def test_port_left_to_chance_stays(opened: list[Listening]) -> None:
    """Clients find it again beside workers that live, and in an upgrade."""
    before = Listening.open([LOCAL], 1)
    opened.append(before)
    port = before.listeners[0]["port"]

    beside = Listening.open([LOCAL], 1, earlier=[["127.0.0.1", port]])
    upgraded = Listening.open([LOCAL], 1, kept=before)
    opened.append(beside)

    assert beside.listeners[0]["port"] == port
    assert beside.descriptors != before.descriptors
    assert upgraded.listeners == before.listeners


def test_lost_port_is_replaced_only_if_it_was_chance(opened: list[Listening]) -> None:
    """When another program has the earlier port, a chance port moves; a configured one is an error."""
    other = bound_socket("127.0.0.1", 0, shared=False)
    port = other.getsockname()[1]

    moved = Listening.open([LOCAL], 1, earlier=[["127.0.0.1", port]])
    opened.append(moved)

    assert moved.listeners[0]["port"] != port
    with pytest.raises(BindError, match=f"127.0.0.1:{port} is in use by another program; stop it"):
        Listening.open([("127.0.0.1", port, 16, None)], 1)
    other.close()


def test_failure_gives_everything_back() -> None:
    """Of two listeners, the first is free again when the second cannot be had."""
    other = bound_socket("127.0.0.1", 0, shared=False)
    free = bound_socket("127.0.0.1", 0, shared=False)
    port = free.getsockname()[1]
    free.close()

    with pytest.raises(BindError):
        Listening.open([("127.0.0.1", port, 16, None), ("127.0.0.1", other.getsockname()[1], 16, None)], 2)

    bound_socket("127.0.0.1", port, shared=False).close()
    other.close()


def test_plain_form_says_all(opened: list[Listening]) -> None:
    """A child reads what its parent wrote."""
    listening = Listening.open([LOCAL], 2)
    opened.append(listening)

    again = Listening.from_text(listening.to_text())

    assert (again.listeners, again.count) == (listening.listeners, 2)


def manager(monkeypatch: pytest.MonkeyPatch, *sockets: socket.socket) -> dict[str, str]:
    """The environment of a process to which a service manager hands these sockets."""
    monkeypatch.setattr("proxy.listeners.FIRST_GIVEN", sockets[0].fileno())
    return {"LISTEN_PID": "7", "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": "http", "HOME": "/"}


def test_sockets_of_a_service_manager_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all workers; the variables are not passed on; 0.0.0.0 in the file is [::] in the unit."""
    sock = socket.socket(socket.AF_INET6)
    sock.bind(("::", 0))
    sock.listen()
    port = sock.getsockname()[1]
    environ = manager(monkeypatch, sock)

    given = given_sockets(environ, 7)
    wanted = [("0.0.0.0", port, 64, None)]
    listening = Listening.open(wanted, 4, kept=Listening(given))

    assert environ == {"HOME": "/"}
    (entry,) = listening.listeners
    assert (entry["fds"], entry["given"], entry["port"]) == ([sock.fileno()], True, port)
    assert unclaimed(given, wanted) == []
    assert unclaimed(given, [LOCAL]) == [f"[::]:{port}"]
    sock.close()


def test_sockets_for_another_process_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables may have been inherited by chance."""
    sock = bound_socket("127.0.0.1", 0, shared=False)
    environ = manager(monkeypatch, sock)

    assert given_sockets(environ, 8) == []
    sock.close()


def test_something_else_than_a_tcp_socket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A datagram socket or a file cannot be accepted on."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with pytest.raises(BindError, match="no TCP socket; use ListenStream="):
        given_sockets(manager(monkeypatch, sock), 7)
    sock.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("localhost", "127.0.0.1", True), ("::", "0.0.0.0", True), ("::1", "127.0.0.1", False)],
)
def test_hosts_that_mean_the_same(one: str, other: str, same: bool) -> None:
    """By name, by number, and every interface."""
    values: Any = same_host(one, other)

    assert values is same
