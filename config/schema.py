"""The whole configuration as one frozen value."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.audit import Audit
from config.base import Model, as_tuple, refuse
from config.checks import faults
from config.fields import Name
from config.freezes import Freezes
from config.overload import Overload
from config.registry import Registry
from config.routes import Route
from config.serving import Admin, Headers, Limits, Listener, Startup, Timeouts, read_workers
from config.state import State
from config.upstreams import Upstream
from config.webhooks import Notification


class Config(Model):
    """Everything an operator may say."""

    listeners: Annotated[tuple[Listener, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=64)]
    """Addresses where requests are accepted."""
    admin: Admin = Admin()
    """The address for metrics, probes, commands and the status page."""
    workers: Annotated[
        int | Literal["auto"],
        BeforeValidator(
            read_workers, json_schema_input_type=Annotated[int, Field(ge=1, le=256)] | Literal["auto"]
        ),
    ] = 1
    """Processes that share the listeners; `auto` = one for each processor."""
    state: State = State()
    """Where Headgate keeps what must outlive it."""
    timeouts: Timeouts = Timeouts()
    """How long each part of an exchange may take."""
    limits: Limits = Limits()
    """The most that one worker takes on."""
    overload: Overload = Overload()
    """When a worker protects itself."""
    headers: Headers = Headers()
    """Headers that Headgate itself writes."""
    startup: Startup = Startup()
    """What must be true before traffic is accepted."""
    audit: Audit = Audit()
    """The log of all that happened."""
    registry: Registry = Registry()
    """Releases, the stages they pass, and who must agree."""
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1, max_length=1000)]
    """Named sets of endpoints."""
    routes: Annotated[tuple[Route, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000)]
    """Which requests go where; the first that matches is taken."""
    freezes: Freezes = ()
    """Times in which no canary gets more requests by itself."""
    notifications: Annotated[tuple[Notification, ...], BeforeValidator(as_tuple), Field(max_length=20)] = ()
    """Services that are told of decisions."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse("config", faults(self.to_json()))
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain values: durations in seconds, shares from 0 to 1, sizes in bytes, addresses as text."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The value that ``to_json`` was made from; also reads the forms that people write.

        Raises:
            pydantic.ValidationError: the plain values are not a configuration.
        """
        return cls.model_validate(value)
