"""Guardrail: clients must give up equally often on both arms; they are nobody's failure, so they are
compared."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.plumbing import SameShare
from control.stats.events import Event, Source


class ClientAbortShare(SameShare):
    """Compares how many requests were given up by their clients."""

    kind: ClassVar[str] = "client_abort_share"
    what: ClassVar[str] = "were given up by their clients"

    @classmethod
    def event_of(cls) -> Event:
        return Event(source=Source.ABORT)
