"""Decisions told to real receivers: every shape, signed, tried again, bounded and counted."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from config.webhooks import Notification
from control.webhooks import notifier as module
from control.webhooks.notifier import Notifier
from control.webhooks.sender import Sender
from tests.helpers.receiver import receiver
from tests.helpers.waiting import until

DECISION: dict[str, Any] = {
    "id": "d-1",
    "kind": "rolled_back",
    "route": "fraud",
    "rollout": "r-1",
    "at": 1_700_000_000.0,
    "actor": "controller",
    "reason": "canary failed 5 % <of> its requests & more",
    "stable": "v1",
    "canary": "v2",
    "release": "fraud:v2",
    "from_weight": 0.1,
    "to_weight": 0.0,
    "analysis": None,
    "evidence": {"large": "thing"},
}


def notification(url: str, **more: Any) -> Notification:
    return Notification.model_validate({"name": "pager", "url": url, **more})


async def test_each_shape_is_posted_signed_with_the_decisions_own_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON, CloudEvents in structured mode, and Slack blocks without a mention or a link in them."""
    monkeypatch.setenv("HOOK_SECRET", "hush")
    sender = Sender()
    try:
        async with receiver() as told:
            notifier = Notifier(sender)
            for form in ("json", "cloudevents", "slack"):
                notifier.configure([notification(told.url, format=form, secret_env="HOOK_SECRET")])
                notifier.tell(DECISION)
                await until(lambda: notifier.counts()["pager"]["delivered"] == 1)
    finally:
        await sender.close()

    (plain, event, slack), headers = told.bodies, [headers for headers, _ in told.got]
    for sent, body in told.got:
        text = b"d-1." + sent["webhook-timestamp"].encode() + b"." + body
        digest = base64.b64encode(hmac.new(b"hush", text, hashlib.sha256).digest()).decode()
        assert (sent["webhook-id"], sent["webhook-signature"]) == ("d-1", f"v1,{digest}")
    assert plain["type"] == "headgate.decision"
    assert "evidence" not in plain["decision"]
    assert headers[1]["content-type"] == "application/cloudevents+json"
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        "d-1",
        "headgate.rollout.rolled_back",
    )
    assert (event["source"], event["time"]) == ("/headgate/routes/fraud", "2023-11-14T22:13:20Z")
    assert "&lt;of&gt; its requests &amp; more" in slack["blocks"][0]["text"]["text"]


async def test_only_what_was_asked_for_is_told() -> None:
    """By kind and by route."""
    sender = Sender()
    try:
        async with receiver() as told:
            notifier = Notifier(sender)
            notifier.configure([notification(told.url, decisions=["promoted"], routes=["fraud"])])
            for kind, route in (("promoted", "other"), ("rolled_back", "fraud"), ("promoted", "fraud")):
                notifier.tell(DECISION | {"kind": kind, "route": route})
            await until(lambda: notifier.counts()["pager"]["delivered"] == 1)
            await notifier.close()
    finally:
        await sender.close()

    assert [body["decision"]["kind"] for body in told.bodies] == ["promoted"]


async def test_failures_are_tried_again_and_a_redirect_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same identifier each time; after the last attempt it is counted as failed."""
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)
    sender = Sender()
    try:
        async with receiver(500, 302, 204) as told:
            notifier = Notifier(sender)
            notifier.configure([notification(told.url, attempts=3)])
            notifier.tell(DECISION)
            await until(lambda: notifier.counts()["pager"]["delivered"] == 1)
            told.answers = [500]
            notifier.tell(DECISION)
            await until(lambda: notifier.counts()["pager"]["failed"] == 1)
    finally:
        await sender.close()

    assert len(told.got) == 6
    assert {headers["webhook-id"] for headers, _ in told.got} == {"d-1"}


async def test_a_full_queue_drops_and_counts() -> None:
    """A receiver that hangs costs neither memory nor time."""
    sender = Sender()
    try:
        async with receiver() as told:
            told.seconds = 60.0
            notifier = Notifier(sender)
            notifier.configure([notification(told.url, timeout=60)])
            notifier.tell(DECISION)
            await until(lambda: told.got)
            for _ in range(module.QUEUE_MAX + 3):
                notifier.tell(DECISION)

            assert notifier.counts()["pager"] == {"delivered": 0, "failed": 0, "dropped": 3}
            await notifier.close(seconds=0.0)
    finally:
        await sender.close()
