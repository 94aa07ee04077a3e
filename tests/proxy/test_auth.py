"""Tests of who may do what on the admin address."""

import hashlib
from dataclasses import dataclass

import pytest

from proxy import auth
from proxy.auth import Authenticator, DeniedError, Role, check_host, check_origin, is_loopback, require


@dataclass
class Token:
    """A configured token."""

    name: str
    sha256: str
    role: str


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def token(secret: str, role: str) -> Token:
    """A configured token for `secret`, held by somebody named like the role."""
    return Token(f"{role}-person", hashlib.sha256(secret.encode()).hexdigest().upper(), role)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def guarded(clock: Clock) -> Authenticator:
    """One token of each role."""
    return Authenticator([token(f"secret-{role.name.lower()}", role.name.lower()) for role in Role], clock)


def code(error: pytest.ExceptionInfo[DeniedError]) -> tuple[int, str]:
    """Status and code of a refusal."""
    return error.value.status, error.value.code


def test_without_tokens_everyone_is_the_local_administrator(clock: Clock) -> None:
    """A loopback address without tokens asks nobody for anything."""
    principal = Authenticator([], clock).identify("Bearer whatever", "127.0.0.1")

    assert (principal.actor, principal.role) == ("local", Role.ADMIN)


@pytest.mark.parametrize("role", list(Role))
def test_token_names_its_holder(guarded: Authenticator, role: Role) -> None:
    """A token stands for the name and role it was configured with; the digest's case does not matter."""
    principal = guarded.identify(f"bearer secret-{role.name.lower()}", "127.0.0.1")

    assert (principal.actor, principal.role) == (f"{role.name.lower()}-person", role)


@pytest.mark.parametrize("header", [None, "", "Basic eDp5", "Bearer", "Bearer  ", "secret-admin"])
def test_request_without_token(guarded: Authenticator, header: str | None) -> None:
    """No token is asked for by name, and is no failed guess however often it comes."""
    for _ in range(auth.FAILURES_MAX + 1):
        with pytest.raises(DeniedError) as error:
            guarded.identify(header, "10.0.0.1")
        assert code(error) == (401, "token_missing")


@pytest.mark.parametrize("wrong", ["secret", "secret-admin2", "SECRET-ADMIN", "\udcff", "ü"])
def test_wrong_token(guarded: Authenticator, wrong: str) -> None:
    """Any other token is refused, whatever bytes it is made of."""
    with pytest.raises(DeniedError) as error:
        guarded.identify(f"Bearer {wrong}", "10.0.0.1")

    assert code(error) == (401, "token_wrong")
    assert wrong not in error.value.message


def test_guessing_is_stopped_for_its_address_and_time(guarded: Authenticator, clock: Clock) -> None:
    """After some wrong tokens an address waits, even with the right one; other addresses do not."""
    for _ in range(auth.FAILURES_MAX):
        with pytest.raises(DeniedError):
            guarded.identify("Bearer guess", "10.0.0.1")

    with pytest.raises(DeniedError) as error:
        guarded.identify("Bearer secret-admin", "10.0.0.1")
    assert code(error) == (429, "too_many_failures")
    assert guarded.identify("Bearer secret-admin", "10.0.0.2").role is Role.ADMIN

    clock.now += auth.FAILURES_WINDOW_SECONDS + 1
    assert guarded.identify("Bearer secret-admin", "10.0.0.1").role is Role.ADMIN


def test_memory_of_failures_is_bounded(guarded: Authenticator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures from endless addresses do not fill memory."""
    monkeypatch.setattr(auth, "ADDRESSES_MAX", 10)
    for number in range(100):
        with pytest.raises(DeniedError):
            guarded.identify("Bearer guess", f"10.0.0.{number}")

    assert len(guarded._failures) == 10


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("needed", list(Role))
def test_roles_are_ordered(guarded: Authenticator, role: Role, needed: Role) -> None:
    """A role may do what it is for and what the roles before it may."""
    principal = guarded.identify(f"Bearer secret-{role.name.lower()}", "127.0.0.1")

    if role >= needed:
        require(principal, needed)
        return
    with pytest.raises(DeniedError) as error:
        require(principal, needed)
    assert code(error) == (403, "role_too_low")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:9901", "127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "LOCALHOST:1", "127.9.9.9"],
)
def test_own_hosts_pass(host: str) -> None:
    """Loopback names and addresses are ours, with any port: a forwarded port has another number."""
    check_host(host, "127.0.0.1")


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:9901", "localhost.evil.example", "10.0.0.1"]
)
def test_foreign_host_is_refused_on_loopback(host: str | None) -> None:
    """A web page's own name that resolves to 127.0.0.1 gets no answer."""
    with pytest.raises(DeniedError) as error:
        check_host(host, "127.0.0.1")

    assert code(error) == (421, "host_not_ours")


def test_any_host_passes_off_loopback() -> None:
    """There a token is needed, which a hostile page does not have."""
    check_host("metrics.internal", "0.0.0.0")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        (None, None),
        ("http://127.0.0.1:9901", None),
        ("http://127.0.0.1:9901", "same-origin"),
        (None, "none"),
    ],
)
def test_own_page_may_change_things(origin: str | None, site: str | None) -> None:
    """Commands without a browser, and our own page, pass."""
    check_origin(origin, site, "127.0.0.1:9901")


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("http://evil.example", None),
        ("null", None),
        ("http://127.0.0.1:9902", None),
        (None, "cross-site"),
        ("http://127.0.0.1:9901", "same-site"),
    ],
)
def test_other_pages_may_not(origin: str | None, site: str | None) -> None:
    """A page of any other origin, another port of this machine included, cannot change anything."""
    with pytest.raises(DeniedError) as error:
        check_origin(origin, site, "127.0.0.1:9901")

    assert code(error) == (403, "cross_site")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """All interfaces are not loopback."""
    assert is_loopback(host) is loopback
