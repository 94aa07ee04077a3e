"""Guardrail: a stream's tokens must not come more slowly than control's by more than a factor."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.slowness import Slowness
from control.stats.events import Source


class TokenTimeRatio(Slowness):
    """Compares quantiles of the mean time for a token behind the first, one figure a stream: gaps within one
    stream are not independent of each other, streams are."""

    kind: ClassVar[str] = "token_time_ratio"
    source: ClassVar[Source] = Source.TOKEN_TIME
    what: ClassVar[str] = "time for a token"
    needs_streams: ClassVar[bool] = True
