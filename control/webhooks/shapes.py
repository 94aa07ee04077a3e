"""What is posted about a decision: the decision itself, a CloudEvent around it, or a message for Slack.

References: CloudEvents 1.0 (JSON format, structured mode); Slack incoming webhooks (blocks).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

JSON: Final = "application/json"
_CLOUDEVENTS: Final = "application/cloudevents+json"
_MARKS: Final = {
    "promoted": ":white_check_mark:",
    "rolled_back": ":rotating_light:",
    "alarmed": ":rotating_light:",
    "held": ":warning:",
    "paused": ":warning:",
    "expired": ":warning:",
}
_TEXT_MAX: Final = 2500


def shaped(form: str, decision: Mapping[str, Any]) -> tuple[str, bytes]:
    """Content type and body. Evidence is left out: it is large, and `GET /v1/decisions/{id}` has it."""
    told = {key: value for key, value in decision.items() if key not in ("evidence", "plan_source")}
    match form:
        case "cloudevents":
            return _CLOUDEVENTS, orjson.dumps(_cloudevent(told))
        case "slack":
            return JSON, orjson.dumps(_slack(told))
        case _:
            return JSON, orjson.dumps({"type": "headgate.decision", "decision": told})


def _cloudevent(decision: Mapping[str, Any]) -> dict[str, Any]:
    at = datetime.fromtimestamp(decision["at"], UTC).isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0",
        "id": decision["id"],
        "source": f"/headgate/routes/{decision['route']}",
        "type": f"headgate.rollout.{decision['kind']}",
        "subject": decision["rollout"],
        "time": at,
        "datacontenttype": JSON,
        "data": decision,
    }


def _slack(decision: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(decision["kind"]).replace("_", " ")
    canary = decision.get("release") or decision["canary"]
    before, after = decision["from_weight"] * 100, decision["to_weight"] * 100
    weights = f"stays at {after:.4g} %" if before == after else f"{before:.4g} % → {after:.4g} %"
    mark = _MARKS.get(decision["kind"], ":arrow_forward:")
    headline = f"{mark} *{_plain(decision['route'])}*: {_plain(canary)} {kind} ({weights})"
    reason = _plain(str(decision["reason"]))[:_TEXT_MAX]
    who = f"{_plain(decision['actor'])} · `{decision['id']}`"
    return {
        "text": f"{decision['route']}: {canary} {kind}",
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{headline}\n{reason}"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": who}]},
        ],
    }


def _plain(text: str) -> str:
    """Text in which Slack finds no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
