"""Looks through what a Headgate has written down, for decisions lost, doubled or out of order."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from itertools import pairwise
from typing import Any

from tests.helpers.headgate import Headgate


def check_history(gate: Headgate) -> Counter[str]:
    """Fail unless decisions, audit events, tables and rollouts tell one story; return decisions by kind."""
    decisions = [json.loads(row["body"]) for row in gate.rows("SELECT body FROM decisions ORDER BY id")]
    _check_chains(decisions)
    _check_audit(gate, decisions)
    tables = gate.rows("SELECT revision, published_at FROM tables ORDER BY revision")
    for before, after in pairwise(tables):
        assert before["published_at"] <= after["published_at"], (before, after)
    for row in gate.rows("SELECT route, state, document FROM rollouts WHERE current"):
        last = [decision for decision in decisions if decision["route"] == row["route"]][-1]
        assert row["state"] == last["to_state"], (row, last)
        assert json.loads(row["document"])["step"] == last["to_step"], (row, last)
    return Counter(decision["kind"] for decision in decisions)


def _check_chains(decisions: list[dict[str, Any]]) -> None:
    """Each decision about a route begins where the one before it ended."""
    for route in {decision["route"] for decision in decisions}:
        chain = [decision for decision in decisions if decision["route"] == route]
        for before, after in pairwise(chain):
            assert before["revision"] <= after["revision"], (before, after)
            assert before["at"] <= after["at"], (before, after)
            assert before["to_state"] == after["from_state"], _ends(before, after)
            if after["kind"] != "restarted":
                assert before["to_step"] == after["from_step"], _ends(before, after)
                assert before["to_weight"] == after["from_weight"], _ends(before, after)


def _check_audit(gate: Headgate, decisions: list[dict[str, Any]]) -> None:
    """One event for each decision, numbered without a gap, each as it was hashed when it was written."""
    rows = gate.rows("SELECT sequence, type, body, leaf_hash FROM audit_events ORDER BY sequence")
    (head,) = gate.rows("SELECT size FROM audit_head")
    first = rows[0]["sequence"]
    assert first in (0, 1)
    assert [row["sequence"] for row in rows] == list(range(first, first + len(rows)))
    assert head["size"] == len(rows)
    for row in rows:
        assert hashlib.sha256(b"\0" + row["body"]).digest() == row["leaf_hash"], row["sequence"]
    told = [
        (row["type"].removeprefix("rollout_"), _find(json.loads(row["body"]), "decision"))
        for row in rows
        if row["type"].startswith("rollout_")
    ]
    told = [(kind, decision) for kind, decision in told if decision]
    assert Counter(told) == Counter((decision["kind"], decision["id"]) for decision in decisions)


def _find(value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        return None
    if name in value:
        return value[name]
    return next((found for part in value.values() if (found := _find(part, name))), None)


def _ends(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    names = ("id", "route", "rollout", "kind", "at", "from_state", "to_state", "from_step", "to_step")
    return [{name: one[name] for name in (*names, "from_weight", "to_weight")} for one in (before, after)]
