"""Talks to a running Headgate's admin address; every way this can fail becomes one clear error."""

from __future__ import annotations

import functools
import http.client
import json
import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import click

from control.cli.failure import CommandError, UnreachableError

DEFAULT_ADMIN = "http://127.0.0.1:9901"
_SUPERVISOR_FILE = Path(".headgate/supervisor.json")
_TIMEOUT_S = 10.0
# Storing what has come takes a while, too.
_UPLOAD_TIMEOUT_S = 600.0
_BODY_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the admin interface: status code, parsed JSON (or None) and the text as sent."""

    status: int
    value: Any
    text: str


class AdminClient:
    """One connection per call, as a command makes few and a person waits for it."""

    def __init__(self, address: str, token: str | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        self.address = _normal_address(address)
        self._parts = urlsplit(self.address)
        self._token = token
        self._timeout_s = timeout_s
        self.extra_headers: dict[str, str] = {}
        # What else would do where nobody answers.
        self.otherwise = ""

    def get(self, path: str, **query: str | int | None) -> Any:
        """The parsed JSON of `path`.

        Raises:
            UnreachableError: Nobody answers, or the control process is away.
            CommandError: The answer is an error.
        """
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._checked("GET", path + (f"?{urlencode(given)}" if given else ""), None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send `body` as JSON and return the parsed answer; raises as `get` does."""
        return self._checked("POST", path, body or {})

    def stream(self, path: str, **query: str | int | float | None) -> Iterator[bytes]:
        """The body of `path`, line by line, however long it is; raises as `get` does."""
        given = {name: str(value) for name, value in query.items() if value is not None}
        return self._streamed(path + (f"?{urlencode(given)}" if given else ""), 0)

    def pieces(self, path: str, size: int) -> Iterator[bytes]:
        """The same in pieces of `size` bytes."""
        return self._streamed(path, size)

    def _streamed(self, path: str, size: int) -> Iterator[bytes]:
        headers = self._authorization()
        connection = self._connection()
        try:
            connection.request("GET", self._parts.path.rstrip("/") + path, None, headers)
            response = connection.getresponse()
            if response.status >= 400:
                text = response.read(_BODY_BYTES_MAX).decode("utf-8", "replace")
                raise self.failure(Answer(status=response.status, value=_parsed(text), text=text))
            if size:
                yield from iter(lambda: response.read(size), b"")
            else:
                yield from response
        except (OSError, http.client.HTTPException) as error:
            raise self._broken_off(error) from error
        finally:
            connection.close()

    def upload(self, path: str, pieces: Iterable[bytes], size: int) -> Any:
        """Send `size` bytes in pieces and return the parsed answer; raises as `get` does."""
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(size),
            **self.extra_headers,
            **self._authorization(),
        }
        connection = self._connection()
        connection.timeout = _UPLOAD_TIMEOUT_S
        try:
            # Whoever refuses it early closes early, and says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("PUT", self._parts.path.rstrip("/") + path, pieces, headers)
            response = connection.getresponse()
            text = response.read(_BODY_BYTES_MAX).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._broken_off(error) from error
        finally:
            connection.close()
        answer = Answer(status=response.status, value=_parsed(text), text=text)
        if answer.status >= 400:
            raise self.failure(answer)
        return answer.value

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Send `body` as JSON and return the parsed answer; raises as `get` does."""
        return self._checked("PUT", path, body)

    def delete(self, path: str) -> Any:
        """Remove what is at `path`; raises as `get` does."""
        return self._checked("DELETE", path, None)

    def exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """One request and its answer, whatever its status."""
        headers = {"accept": "application/json", **self.extra_headers, **self._authorization()}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, data, headers)
            response = connection.getresponse()
            raw = response.read(_BODY_BYTES_MAX)
            status = response.status
        except TimeoutError as error:
            raise UnreachableError(
                f"{self.address} did not answer within {self._timeout_s:g} s",
                "look at the log of headgate run",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"nobody answers at {self.address} ({_reason(error)})",
                "start headgate run, or name the address with --admin or HEADGATE_ADMIN" + self.otherwise,
            ) from error
        finally:
            connection.close()
        text = raw.decode("utf-8", "replace")
        return Answer(status=status, value=_parsed(text), text=text)

    def _broken_off(self, error: Exception) -> UnreachableError:
        return UnreachableError(
            f"{self.address} broke off ({_reason(error)})", "look at the log of headgate run"
        )

    def _authorization(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"} if self._token else {}

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=_tls_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)

    def _checked(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        answer = self.exchange(method, path, body)
        if answer.status < 400:
            if answer.value is None and answer.text.strip():
                raise CommandError(
                    f"{self.address} does not speak Headgate's admin interface",
                    "name the right one with --admin",
                )
            return answer.value
        raise self.failure(answer)

    def failure(self, answer: Answer) -> CommandError:
        """What an answer that is no success means for a command."""
        error = answer.value.get("error") if isinstance(answer.value, dict) else None
        if not isinstance(error, dict):
            error = {"message": f"{self.address} answered {answer.status}"}
        message, remedy = str(error.get("message", answer.status)), str(error.get("remedy") or "")
        if answer.status == 401 and not remedy:
            remedy = "give a token with --token or HEADGATE_TOKEN"
        if answer.status == 503:
            return UnreachableError(message, remedy)
        return CommandError(message.rstrip("."), remedy)


def _tls_context() -> ssl.SSLContext:
    """Whom to believe, and who we are: files named by HEADGATE_CA, HEADGATE_CERTIFICATE and HEADGATE_KEY."""
    names = {name: os.environ.get(f"HEADGATE_{name}") for name in ("CA", "CERTIFICATE", "KEY")}
    try:
        context = ssl.create_default_context(cafile=names["CA"])
        if names["CERTIFICATE"]:
            context.load_cert_chain(names["CERTIFICATE"], names["KEY"])
    except OSError as error:
        raise CommandError(
            f"the files for TLS cannot be used ({_reason(error)})",
            "correct HEADGATE_CA, HEADGATE_CERTIFICATE and HEADGATE_KEY",
        ) from error
    return context


def rollout_path(name: str, *more: str) -> str:
    """`/v1/rollouts/<name>/…` with each part quoted."""
    return "/".join(["/v1/rollouts", *(quote(part, safe="") for part in (name, *more))])


def discover(admin: str | None) -> str:
    """The admin address: as given, else as the supervisor in this directory wrote it, else the default."""
    if admin:
        return admin
    try:
        written = json.loads(_SUPERVISOR_FILE.read_text("utf-8"))["admin"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_ADMIN
    return written if isinstance(written, str) and written else DEFAULT_ADMIN


def admin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--admin` and `--token`; the command receives a `client`."""

    @click.option(
        "--admin", envvar="HEADGATE_ADMIN", metavar="URL", help="Admin address of a running Headgate."
    )
    @click.option(
        "--token", envvar="HEADGATE_TOKEN", metavar="TOKEN", help="Admin token (better: HEADGATE_TOKEN)."
    )
    @functools.wraps(command)
    def with_client(admin: str | None, token: str | None, **others: Any) -> Any:
        return command(client=AdminClient(discover(admin), _token(token)), **others)

    return with_client


def _token(token: str | None) -> str | None:
    if token is None or not token.strip():
        return None
    token = token.strip()
    # Never repeat the token itself: the message may end in a log.
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise CommandError(
            "the token has characters that no header can carry", "copy it again, without spaces"
        )
    return token


def _normal_address(address: str) -> str:
    """`host:port` or a URL as a URL; anything else is an error that names what was given."""
    given = address if "://" in address or address.startswith("unix:") else f"http://{address}"
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError as error:
        raise CommandError(
            f"admin address {address!r} is not a URL ({error})", "write http://HOST:PORT"
        ) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"admin address {address!r} is not a URL", "write http://HOST:PORT")
    return given.rstrip("/")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
