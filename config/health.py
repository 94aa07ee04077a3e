"""The part of the schema that says when an endpoint is not used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.base import Model
from config.fields import Duration, Fraction, PositiveDuration, Text, UrlPath


class Health(Model):
    """Questions that the agent asks every endpoint of an upstream, whatever the traffic."""

    kind: Literal["http", "kserve"] = "http"
    """`http` asks for `path`; `kserve` whether the server, or its `model`, is ready (Open Inference v2)."""
    path: UrlPath = "/healthz"
    """Path of a GET whose answer below 400 means healthy; for kind `http`."""
    model: Annotated[Text, Field(max_length=256)] = ""
    """Model that must be ready; empty = the server; for kind `kserve`."""
    interval: PositiveDuration = 5.0
    """Time between two questions."""
    timeout: PositiveDuration = 2.0
    """How long an answer may take."""
    healthy: Annotated[int, Field(ge=1, le=1000)] = 2
    """Good answers in a row that bring an endpoint back."""
    unhealthy: Annotated[int, Field(ge=1, le=1000)] = 3
    """Bad answers in a row after which it is not used."""


class Ejection(Model):
    """When a worker leaves an endpoint out by itself, because its requests fail there."""

    failures: Annotated[int, Field(ge=0, le=10000)] = 5
    """Failures in a row (no connection, no or a broken answer, 502 to 504); 0 = never."""
    base: Duration = 5.0
    """For how long at first; each further time twice as long."""
    longest: PositiveDuration = 300.0
    """For how long at most."""
    share: Fraction = 0.5
    """Endpoints of an upstream that may be left out at once, as a share of all."""
    panic: Fraction = 0.3
    """When fewer than this share are well, by probes too, all are used: few cannot carry the load of all."""
