"""The part of the schema about the audit log."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.base import Model
from config.fields import PositiveDuration


class Checkpoints(Model):
    """When the head of the log is signed: whichever comes first."""

    events: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Sign when so many events have come since the last checkpoint."""
    interval: Annotated[PositiveDuration, Field(ge=1, le=86_400)] = 60.0
    """Sign whatever has come when the last checkpoint is so old; from a second to a day."""


class Audit(Model):
    """The log of all that happened."""

    checkpoints: Checkpoints = Checkpoints()
    """When the head of the log is signed: whichever comes first."""
