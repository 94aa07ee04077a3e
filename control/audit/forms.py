"""The forms in which events leave the log: JSON, JSON lines with proofs, YAML, CSV."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson
import yaml

from control.audit.record import AuditRecord

FORMAT: Final = 1
# A spreadsheet takes what begins so for a formula, and runs it.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_COLUMNS: Final = (
    *("sequence", "id", "at", "type", "severity"),
    *("actor", "address", "user_agent", "session"),
    *("resource_type", "resource_id", "action", "source", "tags", "config_digest", "details", "leaf_hash"),
)


class Form(ABC):
    """Writes one export, piece by piece; `proofs` says whether it wants a proof with each event."""

    kind: ClassVar[str]
    content_type: ClassVar[str]
    proofs: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type["Form"]]] = {}

    def __init_subclass__(cls) -> None:
        Form.kinds[cls.kind] = cls

    @abstractmethod
    def head(self, about: dict[str, Any]) -> bytes:
        """What comes before the events; *about* has checkpoint, keys, filters and more."""

    @abstractmethod
    def event(self, record: AuditRecord, proof: Sequence[bytes] | None) -> bytes:
        """One event."""

    @abstractmethod
    def tail(self, end: dict[str, Any]) -> bytes:
        """What comes after the events; *end* has the first and last number and the count."""


class JsonLines(Form):
    """One JSON object a line: about the export, then every event as stored with its proof, then the end."""

    kind = "jsonl"
    content_type = "application/jsonl"
    proofs = True

    def head(self, about: dict[str, Any]) -> bytes:
        return _line({"headgate_audit_export": FORMAT} | about)

    def event(self, record: AuditRecord, proof: Sequence[bytes] | None) -> bytes:
        return _line(exported(record, proof))

    def tail(self, end: dict[str, Any]) -> bytes:
        return _line({"end": end})


class Json(Form):
    """One JSON object with the list of events."""

    kind = "json"
    content_type = "application/json"

    def __init__(self) -> None:
        self._first = True

    def head(self, about: dict[str, Any]) -> bytes:
        return b'{"about":' + orjson.dumps(about) + b',"events":['

    def event(self, record: AuditRecord, proof: Sequence[bytes] | None) -> bytes:  # noqa: ARG002
        separator, self._first = b"\n" if self._first else b",\n", False
        return separator + orjson.dumps(record.to_json())

    def tail(self, end: dict[str, Any]) -> bytes:
        return b'],"end":' + orjson.dumps(end) + b"}\n"


class Yaml(Form):
    """One YAML document with the list of events."""

    kind = "yaml"
    content_type = "application/yaml"

    def head(self, about: dict[str, Any]) -> bytes:
        return _yaml({"about": about}) + b"events:\n"

    def event(self, record: AuditRecord, proof: Sequence[bytes] | None) -> bytes:  # noqa: ARG002
        return _yaml([record.to_json()])

    def tail(self, end: dict[str, Any]) -> bytes:
        return _yaml({"end": end})


class Csv(Form):
    """A table for spreadsheets; text that one would take for a formula is put behind an apostrophe."""

    kind = "csv"
    content_type = "text/csv"

    def head(self, about: dict[str, Any]) -> bytes:  # noqa: ARG002
        return _row(_COLUMNS)

    def event(self, record: AuditRecord, proof: Sequence[bytes] | None) -> bytes:  # noqa: ARG002
        shown = record.to_json()
        shown["details"] = orjson.dumps(shown["details"], option=orjson.OPT_SORT_KEYS).decode()
        shown["tags"] = " ".join(shown.get("tags", []))
        return _row([_safe(shown.get(name)) for name in _COLUMNS])

    def tail(self, end: dict[str, Any]) -> bytes:  # noqa: ARG002
        return b""


def exported(record: AuditRecord, proof: Sequence[bytes] | None) -> dict[str, Any]:
    """An event as JSON lines have it: the stored bytes as text, what they hold hashes of, and the proof."""
    part = record.personal
    return {
        "sequence": record.sequence,
        "body": record.body.decode(),
        "leaf_hash": record.leaf_hash.hex(),
        "actor": part.actor,
        "actor_salt": None if part.actor_salt is None else part.actor_salt.hex(),
        "origin": part.origin,
        "origin_salt": None if part.origin_salt is None else part.origin_salt.hex(),
        "proof": None if proof is None else [step.hex() for step in proof],
    }


def _safe(value: object) -> str:
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(_FORMULA) else text


def _row(cells: Sequence[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue().encode()


def _line(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _yaml(value: object) -> bytes:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text.encode()
