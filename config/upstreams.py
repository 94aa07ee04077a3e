"""The part of the schema that names the servers behind Headgate."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.addresses import parse_endpoint_url
from config.base import Fault, Model, as_tuple, refuse
from config.fields import EndpointUrl, Text
from config.health import Ejection, Health
from config.overload import Queue
from config.rewrites import Rewrite
from config.serving import UpstreamTimeouts
from config.tls import UpstreamTls


class Endpoint(Model):
    """One address of an upstream."""

    url: EndpointUrl
    """`http://host:port` or `https://host:port`, the port 80 or 443 when left out, or `unix:/path`."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Share of the upstream's requests, relative to its other endpoints."""

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return parse_endpoint_url(self.url).host

    @property
    def port(self) -> int:
        """TCP port."""
        return parse_endpoint_url(self.url).port


def _one_endpoint(value: object) -> object:
    return value if isinstance(value, (dict, Endpoint)) else {"url": value}


EndpointEntry = Annotated[
    Endpoint, BeforeValidator(_one_endpoint, json_schema_input_type=EndpointUrl | Endpoint)
]


class Upstream(Model):
    """A named set of endpoints that serve the same thing."""

    endpoints: Annotated[tuple[EndpointEntry, ...], BeforeValidator(as_tuple), Field(max_length=1000)] = ()
    """Addresses, each a URL or `{url, weight}`; may be left out where `release` is an alias."""
    release: Annotated[Text, Field(max_length=256)] = ""
    """What runs there: `fraud:v1.0.0`, or by an alias, `fraud@prod`, which the registry may move."""
    balance: Literal["round_robin", "least_in_flight", "consistent_hash"] = "round_robin"
    """How one endpoint is picked: in turn, the less busy one of two, or the same one for the same key."""
    balance_key: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), Field(max_length=16)] = ()
    """Keys for `consistent_hash`, the first that is there: `[header:x-session, client_address]`."""
    health: Health | None = None
    """Probes of its endpoints; left out = none."""
    ejection: Ejection = Ejection()
    """Endpoints that fail in a row are left out for a while."""
    concurrency: Annotated[int, Field(ge=0, le=1000000)] = 0
    """Requests in hand at once, for each worker; more wait in the queue. 0 = no limit."""
    queue: Queue = Queue()
    """Who waits while there are that many."""
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    """Timeouts of this upstream."""

    rewrite: Rewrite | None = None
    """How a request to this upstream is changed on its way; left out = not at all."""
    tls: UpstreamTls | None = None
    """TLS to the https:// endpoints; left out = their certificates must be believed by this machine."""

    @property
    def by_alias(self) -> bool:
        """Whether the registry says which release this is."""
        return "@" in self.release

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        first: dict[str, int] = {}
        faults: list[Fault] = []
        secure = [each for each in self.endpoints if each.url.startswith("https://")]
        if self.tls is not None and self.endpoints and not secure:
            problem = "no endpoint is reached over TLS"
            faults.append(
                Fault(path=("tls",), problem=problem, remedy="write https:// endpoints, or remove it")
            )
        for i, endpoint in enumerate(self.endpoints):
            if endpoint.url in first:
                problem = f"the same address as endpoints[{first[endpoint.url]}]"
                remedy = "list it once and give it a weight"
                faults.append(Fault(path=("endpoints", i), problem=problem, remedy=remedy))
            first.setdefault(endpoint.url, i)
        if not self.endpoints and not self.by_alias:
            problem = "there is no address to send requests to"
            remedy = "add one; only an alias such as fraud@prod can do without"
            faults.append(Fault(path=("endpoints",), problem=problem, remedy=remedy))
        if self.balance == "consistent_hash" and not self.balance_key:
            problem = "consistent_hash has no key"
            remedy = "add balance_key, for example [header:x-session-id, client_address]"
            faults.append(Fault(path=("balance",), problem=problem, remedy=remedy))
        refuse("upstream", faults)
        return self
