"""The part of the schema that names HTTP receivers: gates that are asked, and notifications that are told."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import Name, PositiveDuration, Text
from config.values import InvalidValueError

_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


def parse_receiver(value: object) -> str:
    """An `http` or `https` URL without a user name in it."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s#]+", value) or len(value) > 2048:
        raise InvalidValueError("not an http or https URL", "write one such as https://hooks.example/gate")
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.password is not None:
        remedy = "write https://host/path; prove who you are by a secret"
        raise InvalidValueError("a URL that names no host, or a user", remedy)
    return value


def parse_variable(value: object) -> str:
    """The name of an environment variable."""
    if not isinstance(value, str) or not re.fullmatch(_VARIABLE, value):
        # Never shown: people put the secret itself here.
        raise InvalidValueError("not the name of a variable", "write the name, such as GATE_SECRET")
    return value


ReceiverUrl = Annotated[
    str,
    BeforeValidator(parse_receiver),
    WithJsonSchema({"type": "string", "pattern": r"^https?://[^\s#]+$"}),
]
Variable = Annotated[
    str,
    BeforeValidator(parse_variable),
    WithJsonSchema({"type": "string", "pattern": rf"^{_VARIABLE}$"}),
]

DecisionName = Literal[
    "started",
    "advanced",
    "promoted",
    "rolled_back",
    "held",
    "paused",
    "resumed",
    "aborted",
    "expired",
    "restarted",
    "superseded",
    "alarmed",
]


class Receiver(Model):
    """Where something is posted, and how it is signed. Secrets are named here, never written down."""

    name: Name
    """What it is called in gates, metrics and records."""
    url: ReceiverUrl | None = None
    """Where it is posted."""
    url_env: Variable | None = None
    """Environment variable that holds the URL, where the URL itself is a secret."""
    secret_env: Variable | None = None
    """Environment variable that holds the key of the signature."""
    secret_file: Text | None = None
    """File that holds it; read anew for each request."""
    timeout: PositiveDuration = 5.0
    """How long one request may take in all."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """How many failures in a row are borne."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        faults: list[Fault] = []
        if (self.url is None) == (self.url_env is None):
            faults.append(Fault(path=(), problem="needs exactly one of url and url_env", remedy="give one"))
        if self.secret_env is not None and self.secret_file is not None:
            problem = "says the same as secret_env"
            faults.append(Fault(path=("secret_file",), problem=problem, remedy="keep one of them"))
        refuse("receiver", faults)
        return self


class GateWebhook(Receiver):
    """A service that is asked before a canary gets more requests: it approves, refuses or says wait."""

    interval: PositiveDuration = 10.0
    """Time until it is asked again after it said wait, or gave no answer."""
    before: Annotated[
        tuple[Literal["advance", "promote"], ...], BeforeValidator(as_tuple), Field(min_length=1)
    ] = ("advance", "promote")
    """What it is asked before: each further step, the promotion, or both."""


class Notification(Receiver):
    """A service that is told of decisions."""

    format: Literal["json", "cloudevents", "slack"] = "json"
    """What is posted: the decision, the decision as a CloudEvent, or a message for Slack."""
    decisions: Annotated[tuple[DecisionName, ...], BeforeValidator(as_tuple), Field(max_length=20)] = ()
    """Kinds of decisions it is told of; none = all."""
    routes: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(max_length=100)] = ()
    """Routes whose decisions it is told of; none = all."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse("notification", repeated("decisions", self.decisions) + repeated("routes", self.routes))
        return self
