"""Guardrail: the canary's time to the first byte must not exceed control's by more than a factor."""

from __future__ import annotations

from typing import ClassVar

from control.guardrails.slowness import Slowness
from control.stats.events import Source


class FirstByteRatio(Slowness):
    """Compares quantiles of the time to the answer's first byte, which is what a streaming client waits
    for."""

    kind: ClassVar[str] = "first_byte_ratio"
    source: ClassVar[Source] = Source.FIRST_BYTE
    what: ClassVar[str] = "time to the first byte"
