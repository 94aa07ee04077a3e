"""Asks the services that must approve a step, beside the control loop, and keeps what they said last."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from config.webhooks import GateWebhook
from control.audit.canonical import digest
from control.plans.conditions import Answer, Reply
from control.rollout.records import Record
from control.webhooks.sender import DeliveryError, Sender

log: Final = logging.getLogger("headgate.control")

_ENTRIES_MAX: Final = 4096
_REASON_MAX: Final = 500
_ANSWERS: Final = {"approve": Answer.APPROVE, "wait": Answer.WAIT, "refuse": Answer.REFUSE}


@dataclass(slots=True)
class _Entry:
    reply: Reply = field(default_factory=Reply)
    failures: int = 0
    again_at: float = 0.0
    asking: bool = False


class Gatekeeper:
    """What every gate said about the step each rollout is at. Asking never waits: a later tick finds the
    answer.

    An answer belongs to one stay at one step. A pause that a person ends is another stay, so the service is
    asked again, and so it is by a new process: the identifier of the question is the same then.
    """

    def __init__(self, sender: Sender | None = None) -> None:
        self._sender = Sender() if sender is None else sender
        self._owned = sender is None
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = 0
        self.failures = 0

    @property
    def busy(self) -> bool:
        """Whether a question is under way."""
        return bool(self._tasks)

    def replies(self, record: Record) -> dict[str, Reply]:
        """The last words about the step that *record* is at, by name of the gate."""
        found = {}
        for gate in record.plan.webhooks:
            entry = self._entries.get(_key(record, gate.name))
            if entry is not None:
                found[gate.name] = entry.reply
        return found

    def ask(
        self, record: Record, gates: Mapping[str, GateWebhook], question: dict[str, Any], now: float
    ) -> None:
        """Ask those *gates* that are due at *now* (steady seconds); returns at once."""
        for name, gate in gates.items():
            key = _key(record, name)
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if entry.asking or now < entry.again_at or entry.reply.answer in (Answer.APPROVE, Answer.LOST):
                continue
            entry.asking = True
            entry.again_at = now + gate.interval
            task = asyncio.get_running_loop().create_task(self._ask(entry, gate, key, question))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        while len(self._entries) > _ENTRIES_MAX:
            self._entries.popitem(last=False)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._owned:
            await self._sender.close()

    async def _ask(self, entry: _Entry, gate: GateWebhook, key: str, question: dict[str, Any]) -> None:
        self.asked += 1
        try:
            answered = await self._sender.post(
                gate, identifier=key, content_type="application/json", body=orjson.dumps(question)
            )
            entry.reply = read_answer(answered.body)
            entry.failures = 0
        except DeliveryError as error:
            self.failures += 1
            entry.failures += 1
            lost = entry.failures >= gate.attempts
            entry.reply = Reply(answer=Answer.LOST if lost else Answer.NONE, text=str(error))
            log.warning("gate %s of %s: %s", gate.name, question.get("route", "?"), error)
        finally:
            entry.asking = False


def read_answer(body: bytes) -> Reply:
    """The answer in a body such as ``{"answer": "approve", "reason": "…"}``.

    Raises:
        DeliveryError: it is something else.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DeliveryError("the answer is not JSON") from error
    word = value.get("answer") if isinstance(value, dict) else None
    if not isinstance(word, str) or word not in _ANSWERS:
        raise DeliveryError(f"the answer is none of {', '.join(_ANSWERS)}")
    reason = value.get("reason", "")
    return Reply(answer=_ANSWERS[word], text=reason[:_REASON_MAX] if isinstance(reason, str) else "")


def _key(record: Record, gate: str) -> str:
    rollout = record.rollout
    stay = [rollout.id, rollout.step, rollout.step_started_at, rollout.resumed, gate]
    return f"g-{digest(stay).removeprefix('sha256:')[:32]}"
