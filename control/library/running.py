"""Speaks to a running Headgate for scripts and notebooks: answers are values, errors are typed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import quote, urlencode

from control.cli.client import AdminClient, discover
from control.cli.failure import UnreachableError
from control.errors import (
    ArtifactError,
    BusyError,
    ConflictError,
    DuplicateError,
    ForbiddenError,
    HeadgateError,
    InvalidError,
    NotApprovedError,
    NotFoundError,
    TransitionError,
)

# What has a code of its own; other answers are told apart by their status.
_BY_CODE: dict[str, type[HeadgateError]] = {
    kind.code: kind for kind in (ArtifactError, BusyError, DuplicateError, NotApprovedError, TransitionError)
}
_BY_STATUS: dict[int, type[HeadgateError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
}

T = TypeVar("T")


class UnavailableError(HeadgateError):
    """Nobody answers at the admin address, or its control process is away."""

    status = 503
    code = "unavailable"


class Running:
    """A running Headgate, by its admin address (left out: as the commands find it) and a token."""

    def __init__(self, admin: str | None = None, token: str | None = None) -> None:
        self._client = AdminClient(discover(admin), token)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of an answer.

        Raises:
            HeadgateError: what the answer says is wrong, by its kind.
        """
        try:
            answer = self._client.exchange(method, path, body)
        except UnreachableError as error:
            raise UnavailableError(error.format_message()) from error
        if answer.status < 400:
            return answer.value
        said = answer.value.get("error") if isinstance(answer.value, dict) else None
        found = said if isinstance(said, dict) else {"message": f"answered {answer.status}"}
        kind = _BY_CODE.get(str(found.get("code"))) or _BY_STATUS.get(
            answer.status, UnavailableError if answer.status == 503 else HeadgateError
        )
        raise kind(str(found.get("message", "")), str(found.get("remedy", "")))


class Manager(ABC, Generic[T]):
    """Things of one kind on a running Headgate, each known by its id or by the route it is in charge of."""

    kind: ClassVar[str]
    """As in their paths: deployments."""

    def __init__(self, admin: str | None = None, *, token: str | None = None) -> None:
        self._running = Running(admin, token)

    @abstractmethod
    def _value(self, raw: Any) -> T:
        """What an answer describes."""

    def get(self, identifier: str) -> T:
        """One by its id, or the one in charge of a route."""
        return self._value(self._running.ask("GET", self._path(identifier)))

    def _create(self, body: dict[str, Any]) -> T:
        return self._value(self._running.ask("POST", f"/v1/{self.kind}", body))

    def _found(self, **given: str) -> list[T]:
        query = urlencode({name: value for name, value in given.items() if value})
        answer = self._running.ask("GET", f"/v1/{self.kind}?{query}")
        return [self._value(raw) for raw in answer[self.kind]]

    def _act(self, identifier: str, act: str, reason: str) -> T:
        return self._value(self._running.ask("POST", f"{self._path(identifier)}/{act}", {"reason": reason}))

    def _path(self, identifier: str) -> str:
        return f"/v1/{self.kind}/{quote(identifier, safe='')}"
