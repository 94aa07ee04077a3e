"""The errors that callers of the control plane can tell apart: typed in Python, a status over HTTP."""

from __future__ import annotations

from typing import ClassVar


class HeadgateError(Exception):
    """Something asked of Headgate that cannot be done: what is wrong and what would do.

    `code` is for programs and never changes; `status` is the HTTP status the API answers with.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class InvalidError(HeadgateError):
    """A value that no state of the store would accept."""


class NotFoundError(HeadgateError):
    """What was named does not exist."""

    status = 404
    code = "not_found"


class ConflictError(HeadgateError):
    """It contradicts what the store holds."""

    status = 409
    code = "conflict"


class DuplicateError(ConflictError):
    """It exists already, and what is registered never changes."""

    code = "duplicate"


class TransitionError(ConflictError):
    """The state it is in does not allow this."""

    code = "illegal_transition"


class NotApprovedError(ConflictError):
    """People have yet to agree; the message says who."""

    code = "not_approved"


class ForbiddenError(HeadgateError):
    """Whoever asks may not do this."""

    status = 403
    code = "forbidden"


class ArtifactError(HeadgateError):
    """An artifact is missing, or is not what its digest says."""

    status = 422
    code = "artifact"


class BusyError(HeadgateError):
    """Others held the store for too long; nothing was changed."""

    status = 503
    code = "busy"
