"""Guardrail: the time to a stream's first token must not exceed control's by more than a factor."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.slowness import Slowness
from control.stats.events import Source


class FirstTokenRatio(Slowness):
    """Compares quantiles of the time to the first content of a stream: what a person waits for, however early
    the head of the answer comes."""

    kind: ClassVar[str] = "first_token_ratio"
    source: ClassVar[Source] = Source.FIRST_TOKEN
    what: ClassVar[str] = "time to the first token"
    needs_streams: ClassVar[bool] = True
