"""The part of the schema that says how streams of tokens among a route's answers are looked at."""

from __future__ import annotations

from typing import Literal

from config.base import Model
from config.fields import PositiveDuration


class Streams(Model):
    """How the event streams among a route's answers are looked at."""

    format: Literal["openai"]
    """What the events are: `openai` for chat completions and completions of OpenAI-compatible servers."""
    stall: PositiveDuration = 10.0
    """A pause between two pieces of content that is longer counts as a stall."""
    stall_fails: bool = False
    """Whether an answer with a stall is a failure, with outcome `timeout_idle`."""
