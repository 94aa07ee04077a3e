"""The part of the schema that says what happens when there is more to do than can be done."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.base import Model
from config.fields import Duration, Fraction


class Queue(Model):
    """Who waits for a place while an upstream has as many requests in hand as it may."""

    length: Annotated[int, Field(ge=0, le=100000)] = 100
    """Requests that may wait, for each worker; more are answered 503."""
    time: Duration = 1.0
    """How long one may wait before it is answered 503."""


class Overload(Model):
    """When a worker protects itself."""

    loop_lag: Duration = 0.0
    """Lag of the event loop from which on there are no retries; twice: no canary; four times: nothing new."""


class Retries(Model):
    """Attempts after the first, only where nothing can have been done twice."""

    attempts: Annotated[int, Field(ge=0, le=10)] = 1
    """Extra attempts; 0 = none."""
    share: Fraction = 0.2
    """Retries that the requests of the last ten seconds pay for, as a share of them."""
    minimum: Annotated[float, Field(ge=0, le=10000)] = 5.0
    """Retries that are paid for in any case, each second and worker."""
