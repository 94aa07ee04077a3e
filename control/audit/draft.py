"""Reads an event that somebody reports: every field is checked, and nobody speaks in Headgate's own name."""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from control.audit.events import AuditEvent, Draft, Severity
from control.audit.load import load_all
from control.errors import InvalidError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,63}")
_TEXT_MAX: Final = 400
_DETAILS_MAX: Final = 64 * 1024
_TAGS_MAX: Final = 20
_FIELDS: Final = frozenset(
    {"type", "severity", "resource_type", "resource_id", "action", "details", "tags", "personal"}
)

REPORTABLE: Final = frozenset(
    {
        *("model_registered", "model_promoted", "model_deployed", "model_rolled_back", "model_archived"),
        *("approval_requested", "approval_granted", "approval_rejected"),
        *("ab_test_created", "ab_test_started", "ab_test_completed", "shadow_deployment_created"),
        *("access_granted", "access_revoked", "configuration_changed", "security_violation", "data_access"),
    }
)
"""Types of Headgate's own that may also be reported from outside; `source` tells the two apart."""


class DraftError(InvalidError):
    """An event that cannot be written: where, what is wrong, and what would do."""


def read_draft(value: Mapping[str, Any], *, source: str) -> Draft:
    """The event that *value* describes; ``type`` and ``resource_id`` are needed.

    Raises:
        DraftError: a field is unknown, wrong or too long, or only Headgate writes this type.
    """
    load_all()
    unknown = sorted(value.keys() - _FIELDS)
    if unknown:
        raise DraftError(
            f"{', '.join(unknown)}: not a field of an event", f"use {', '.join(sorted(_FIELDS))}"
        )
    kind = value.get("type")
    if not isinstance(kind, str) or not _NAME.fullmatch(kind):
        raise DraftError("type: is not a name", "use up to 60 small letters, digits and underscores")
    known = AuditEvent.kinds.get(kind)
    if known is not None and kind not in REPORTABLE:
        raise DraftError(f"type: {kind} is written by Headgate alone", "use another name")
    severity = value.get("severity", Severity.INFO.word if known is None else known.severity.word)
    if severity not in [one.word for one in Severity]:
        raise DraftError(f"severity: {severity!r} is none", "use info, warning, error or critical")
    return Draft(
        type=kind,
        severity=severity,
        resource_type=_text(value, "resource_type", "external" if known is None else known.resource_type, 40),
        resource_id=_text(value, "resource_id", None, _TEXT_MAX),
        action=_text(value, "action", "report" if known is None else known.action, 60),
        details=_object(value, "details"),
        tags=_tags(value.get("tags", [])),
        source=source,
        personal=_object(value, "personal"),
    )


def _text(value: Mapping[str, Any], name: str, default: str | None, longest: int) -> str:
    text = value.get(name, default)
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise DraftError(f"{name}: is not a text of 1 to {longest} printable characters", "write one")
    return text


def _object(value: Mapping[str, Any], name: str) -> dict[str, object]:
    found = value.get(name, {})
    try:
        size = len(orjson.dumps(found))
    except TypeError as error:
        raise DraftError(f"{name}: holds something that JSON has no form for", "use plain values") from error
    if not isinstance(found, dict) or size > _DETAILS_MAX:
        raise DraftError(f"{name}: is not an object of at most {_DETAILS_MAX} bytes", "shorten it")
    return dict(found)


def _tags(value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, (list, tuple))
        or len(value) > _TAGS_MAX
        or not all(isinstance(tag, str) and _TAG.fullmatch(tag) for tag in value)
    ):
        raise DraftError(
            f"tags: are not a list of at most {_TAGS_MAX} words of 64 letters, digits and _.:/=-",
            "correct them",
        )
    return tuple(value)
