"""Two answers to one request: the same, or where they differ."""

from __future__ import annotations

from typing import Any

import orjson

from proxy.compare.bodies import Answer
from proxy.compare.fields import compare_fields
from proxy.compare.findings import Finding, Findings
from proxy.compare.rules import Rules
from proxy.compare.streams import StreamError, reassembled
from proxy.compare.texts import similarity


class _UnreadableError(ValueError):
    """An answer is not what its type says; `kind` is the name of the finding."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def compare_answers(primary: Answer, shadow: Answer, rules: Rules) -> list[Finding]:
    """Where two answers differ under the rules; empty = they agree. Never raises, whatever the bytes are."""
    findings = Findings()
    if rules.status and primary.status != shadow.status:
        findings.add((), "status", primary.status, shadow.status)
    for name in rules.headers:
        first, second = primary.field(name), shadow.field(name)
        if first != second:
            findings.add((name.decode("latin-1"),), "header", _shown(first), _shown(second))
    _compare_bodies(primary, shadow, rules, findings)
    return findings.found


def _compare_bodies(primary: Answer, shadow: Answer, rules: Rules, findings: Findings) -> None:
    if primary.broken or shadow.broken:
        if primary.broken != shadow.broken or primary.raw != shadow.raw:
            findings.add((), "bad_encoding", primary.broken, shadow.broken)
        return
    if primary.content == shadow.content:
        return
    if primary.status != shadow.status:
        # One is an error of its server: its text would only hide the finding that matters.
        if not rules.status:
            findings.add((), "body")
        return
    try:
        first, second = _value(primary), _value(shadow)
    except _UnreadableError as error:
        findings.add((), error.kind, _bad(primary), _bad(shadow))
        return
    if first is None or second is None:
        _compare_text(primary, shadow, rules, findings)
    else:
        compare_fields(first[0], second[0], rules, findings)


def _value(answer: Answer) -> tuple[Any] | None:
    """The JSON value of an answer, in a tuple; None when it is of another type."""
    if answer.content_type == b"text/event-stream":
        try:
            return (reassembled(answer.content),)
        except StreamError:
            raise _UnreadableError("bad_stream") from None
    if b"json" not in answer.content_type:
        return None
    try:
        return (orjson.loads(answer.content),)
    except orjson.JSONDecodeError:
        raise _UnreadableError("bad_json") from None


def _bad(answer: Answer) -> str:
    try:
        _value(answer)
    except _UnreadableError as error:
        return error.kind
    return ""


def _compare_text(primary: Answer, shadow: Answer, rules: Rules, findings: Findings) -> None:
    least = rules.places[0].similarity
    if least:
        try:
            alike = similarity(primary.content.decode("utf-8"), shadow.content.decode("utf-8"))
        except UnicodeDecodeError:
            alike = 0.0
        if alike >= least:
            return
    findings.add((), "body")


def _shown(value: bytes) -> str:
    return value[:100].decode("latin-1")
