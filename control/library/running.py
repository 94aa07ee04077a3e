"""Speaks to a running Headgate for scripts and notebooks: answers are values, errors are typed."""

from __future__ import annotations

from typing import Any

from control.cli.client import AdminClient, discover
from control.cli.failure import UnreachableError
from control.errors import (
    ConflictError,
    ForbiddenError,
    HeadgateError,
    InvalidError,
    NotFoundError,
    TransitionError,
)

_BY_CODE: dict[str, type[HeadgateError]] = {TransitionError.code: TransitionError}
_BY_STATUS: dict[int, type[HeadgateError]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidError,
}


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
