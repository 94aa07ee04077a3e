"""Tells receivers of decisions: a bounded queue for each, some retries, and counters of what became of it.

What is not delivered is lost for the receiver and for nobody else: the audit log and `GET /v1/decisions`
have it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from config.webhooks import Notification
from control.webhooks.sender import DeliveryError, Sender
from control.webhooks.shapes import shaped

log: Final = logging.getLogger("headgate.control")

QUEUE_MAX: Final = 256
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 60.0


class _Target:
    """A receiver with the decisions that wait for it, sent one after the other."""

    def __init__(self, notification: Notification, sender: Sender) -> None:
        self.notification = notification
        self.delivered = self.failed = self.dropped = 0
        self._sender = sender
        self._queue: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(QUEUE_MAX)
        self._task: asyncio.Task[None] | None = None

    def offer(self, decision: Mapping[str, Any]) -> None:
        wanted = self.notification
        if wanted.decisions and decision["kind"] not in wanted.decisions:
            return
        if wanted.routes and decision["route"] not in wanted.routes:
            return
        try:
            self._queue.put_nowait(decision)
        except asyncio.QueueFull:
            self.dropped += 1
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while not self._queue.empty():
            decision = self._queue.get_nowait()
            if await self._deliver(decision):
                self.delivered += 1
            else:
                self.failed += 1

    async def _deliver(self, decision: Mapping[str, Any]) -> bool:
        content_type, body = shaped(self.notification.format, decision)
        pause = _FIRST_PAUSE_SECONDS
        for attempt in range(1, self.notification.attempts + 1):
            try:
                await self._sender.post(
                    self.notification, identifier=decision["id"], content_type=content_type, body=body
                )
                return True
            except DeliveryError as error:
                log.warning(
                    "notification %s of %s, attempt %d of %d: %s",
                    *(self.notification.name, decision["id"], attempt, self.notification.attempts, error),
                )
            if attempt < self.notification.attempts:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return False

    async def close(self, seconds: float) -> None:
        """Let what waits go out for a little while."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Notifier:
    """All receivers of the configuration in force."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._targets: dict[str, _Target] = {}

    def configure(self, notifications: Iterable[Notification]) -> None:
        """Take over the receivers; one that stays as it was keeps its queue and its counts."""
        before, self._targets = self._targets, {}
        for notification in notifications:
            known = before.get(notification.name)
            target = known if known and known.notification == notification else None
            self._targets[notification.name] = target or _Target(notification, self._sender)

    def tell(self, decision: Mapping[str, Any]) -> None:
        """Queue a decision, as the API shows it, for all who want to know; never waits."""
        for target in self._targets.values():
            target.offer(decision)

    def counts(self) -> dict[str, dict[str, int]]:
        """By name: delivered, failed for good, dropped because the queue was full."""
        return {
            name: {"delivered": target.delivered, "failed": target.failed, "dropped": target.dropped}
            for name, target in self._targets.items()
        }

    async def close(self, seconds: float = 2.0) -> None:
        """Send what waits for a little while, then give up."""
        await asyncio.gather(*(target.close(seconds) for target in self._targets.values()))
