"""Who may do what on the admin address: bearer tokens with roles, and guards against hostile web pages."""

import hashlib
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

# Enough for a person who mistypes; a guesser gets one try in ten seconds and address.
FAILURES_MAX: Final = 6
FAILURES_WINDOW_SECONDS: Final = 60.0
ADDRESSES_MAX: Final = 1024

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
LOCAL_ACTOR: Final = "local"
_NAME_KINDS: Final = frozenset({"DNS", "email", "URI"})


class Role(IntEnum):
    """What a token is good for; each role may do what the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who sends a request."""

    actor: str
    role: Role


class TokenConfig(Protocol):
    """A token as configured: its holder, the SHA-256 of the token in hexadecimal, and its role's name."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def role(self) -> str: ...


class DeniedError(Exception):
    """A request that is refused: HTTP status, code for programs, message and remedy for people."""

    def __init__(self, status: int, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.remedy = remedy


class Authenticator:
    """Tells who sends a request. Without tokens and clients everyone is the administrator `local`.

    `clients` are the names of roles by a name in a client's certificate, which TLS has checked.
    """

    def __init__(
        self,
        tokens: Sequence[TokenConfig],
        clock: Callable[[], float],
        clients: Mapping[str, str] | None = None,
    ) -> None:
        self._clients = {
            name.lower(): Principal(actor=name, role=Role[role.upper()])
            for name, role in (clients or {}).items()
        }
        self._tokens = [
            (token.sha256.lower(), Principal(actor=token.name, role=Role[token.role.upper()]))
            for token in tokens
        ]
        self._clock = clock
        # Times of failures by address, the address that failed last at the end.
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether nobody has to say who it is."""
        return not self._tokens and not self._clients

    @property
    def takes_tokens(self) -> bool:
        """Whether there is a token that somebody could show."""
        return bool(self._tokens)

    def by_certificate(self, certificate: Mapping[str, Any] | None) -> Principal | None:
        """Return who shows this certificate, in the form of `ssl.SSLSocket.getpeercert`; None if unknown."""
        for name in certificate_names(certificate or {}):
            principal = self._clients.get(name.lower())
            if principal is not None:
                return principal
        return None

    def identify(self, authorization: str | None, address: str) -> Principal:
        """Return who sends a request with this Authorization header; DeniedError when nobody may be."""
        if self.open:
            return Principal(actor=LOCAL_ACTOR, role=Role.ADMIN)
        scheme, _, token = (authorization or "").partition(" ")
        return self.holder(token if scheme.lower() == "bearer" else "", address)

    def holder(self, token: str, address: str) -> Principal:
        """Return whose token this is; DeniedError when it is nobody's or `address` has guessed too often."""
        if self._blocked(address):
            raise DeniedError(
                429, "too_many_failures", "too many wrong tokens from this address", "wait a minute"
            )
        if not token.strip():
            # Nothing was guessed: a browser or a probe that just has no token is no failure.
            raise DeniedError(401, "token_missing", "a bearer token is needed", "set HEADGATE_TOKEN")
        principal = self._find(token.strip())
        if principal is None:
            self._failed(address)
            raise DeniedError(401, "token_wrong", "this token is not known here", "check HEADGATE_TOKEN")
        return principal

    def _find(self, token: str) -> Principal | None:
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        # All of them, always: the time it takes shall not tell which digest came close.
        for known, principal in self._tokens:
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def _blocked(self, address: str) -> bool:
        oldest = self._clock() - FAILURES_WINDOW_SECONDS
        recent = [time for time in self._failures.get(address, []) if time > oldest]
        if address in self._failures:
            self._failures[address] = recent
        return len(recent) >= FAILURES_MAX

    def _failed(self, address: str) -> None:
        self._failures.setdefault(address, []).append(self._clock())
        self._failures.move_to_end(address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)


def certificate_names(certificate: Mapping[str, Any]) -> list[str]:
    """The names in a certificate: alternative ones first, then the common name (RFC 6125, 6.4.4)."""
    names = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind in _NAME_KINDS]
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    return names + [str(value) for key, value in subject if key == "commonName"]


def require(principal: Principal, role: Role) -> None:
    """Raise DeniedError unless `principal` has at least `role`."""
    if principal.role < role:
        raise DeniedError(
            403,
            "role_too_low",
            f"{principal.actor} is {principal.role.name.lower()}; this needs {role.name.lower()}",
            "use a token with that role",
        )


def check_host(host: str | None, bind_host: str) -> None:
    """Refuse a Host that is not ours on a loopback address.

    A page on the web can make its own name resolve to 127.0.0.1 and then talks to us as that name. Off
    loopback our names are not known, and there a token is needed, which such a page does not have.
    """
    if not is_loopback(bind_host):
        return
    name = _without_port(host or "").lower()
    if name in LOOPBACK_NAMES or name in (bind_host, f"[{bind_host}]") or _is_loopback_literal(name):
        return
    raise DeniedError(
        421, "host_not_ours", f"this is not the host {name or '(none)'}", "address it as 127.0.0.1"
    )


def check_origin(origin: str | None, site: str | None, host: str | None) -> None:
    """Refuse a change that a page of another site asks a browser for."""
    if site is not None and site not in ("same-origin", "none"):
        raise DeniedError(403, "cross_site", "another site may not change anything here", "use the command")
    if origin is not None and origin.partition("://")[2].lower() != (host or "").lower():
        raise DeniedError(403, "cross_site", f"{origin} may not change anything here", "use the command")


def check_own_page(origin: str | None, site: str | None, host: str | None) -> None:
    """Refuse what no browser says a page of this very address asked for.

    Stricter than `check_origin`: a browser sends a cookie without being asked, also for pages at another
    port of the same name, which are the same site to it.
    """
    if site not in (None, "same-origin") or (site is None and origin is None):
        raise DeniedError(
            403,
            "cross_site",
            "only a page of this address may ask for this",
            "programs send a bearer token",
        )
    check_origin(origin, site, host)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address that is listened on as `host`."""
    return host.lower() == "localhost" or _is_loopback_literal(host)


def _is_loopback_literal(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
