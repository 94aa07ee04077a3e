"""The whole configuration as one frozen value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.base import Fault, Model, Name, as_tuple, refuse
from config.routes import Route, Upstream
from config.serving import Admin, Headers, Limits, Listener, Startup, State, Timeouts


class Config(Model):
    """Everything an operator may say."""

    listeners: Annotated[tuple[Listener, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=64)]
    """Addresses where requests are accepted."""
    admin: Admin = Admin()
    """The address for metrics, probes, commands and the status page."""
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that share the listeners; auto = one for each processor."""
    state: State = State()
    """Where Headgate keeps what must outlive it."""
    timeouts: Timeouts = Timeouts()
    """How long each part of an exchange may take."""
    limits: Limits = Limits()
    """The most that one worker takes on."""
    headers: Headers = Headers()
    """Headers that Headgate itself writes."""
    startup: Startup = Startup()
    """What must be true before traffic is accepted."""
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1, max_length=1000)]
    """Named sets of endpoints."""
    routes: Annotated[tuple[Route, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=1000)]
    """Which requests go where; the first that matches is taken."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse("config", _faults(self))
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain values: durations in seconds, shares from 0 to 1, sizes in bytes, addresses as text."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: object) -> Self:
        """The value that ``to_json`` was made from.

        Raises:
            pydantic.ValidationError: the plain values are not a configuration.
        """
        return cls.model_validate(value)


def _faults(config: Config) -> Iterator[Fault]:
    for i, route in enumerate(config.routes):
        if route.upstream is not None and route.upstream not in config.upstreams:
            yield Fault(
                path=("routes", i, "upstream"),
                problem=f"there is no upstream {route.upstream!r}",
                remedy=f"define it under upstreams or use one of: {', '.join(config.upstreams)}",
            )
    if config.admin.bind and not config.admin.bind.loopback and not config.admin.tokens:
        yield Fault(
            path=("admin", "bind"),
            problem=f"{config.admin.bind} can be reached from outside, and no token guards it",
            remedy="bind to 127.0.0.1, or add admin.tokens",
        )
