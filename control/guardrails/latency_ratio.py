"""Guardrail: the canary's time to the last byte must not exceed control's by more than a factor."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.slowness import Slowness
from control.stats.events import Source


class LatencyRatio(Slowness):
    """Compares quantiles of the time from the request's first byte to the answer's last one."""

    kind: ClassVar[str] = "latency_ratio"
    source: ClassVar[Source] = Source.TOTAL
    what: ClassVar[str] = "latency"
