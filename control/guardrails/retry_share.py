"""Guardrail: the requests of both arms must be sent again equally often; else a way to one of them is
broken."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.plumbing import SameShare
from control.stats.events import Event, Source


class RetryShare(SameShare):
    """Compares how many requests were retried."""

    kind: ClassVar[str] = "retry_share"
    what: ClassVar[str] = "were retried"

    @classmethod
    def event_of(cls) -> Event:
        return Event(source=Source.RETRY)
