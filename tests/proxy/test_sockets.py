"""Tests of sockets bound to addresses."""

import pytest

from proxy.sockets import BindError, bound_socket, place_of


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


def test_addresses_are_written_as_people_do() -> None:
    """IPv6 in brackets."""
    assert place_of("::1", 80) == "[::1]:80"
    assert place_of("localhost", 80) == "localhost:80"
