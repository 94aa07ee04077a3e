"""What lasts until the log says that it ended: access of tokens, diversions by proxies, freezes.

Nothing of this is kept beside the log. What the log said last is compared with how things are, and the
difference is what there is to tell, also after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from config.freezes import plain_freezes
from config.schema import Config
from config.serving import Token
from control.audit.events import AuditEvent
from control.audit.kinds.access import AccessGranted, AccessRevoked
from control.audit.kinds.traffic import FreezeBegan, FreezeEnded, TrafficDiverted, TrafficRestored
from control.calendar import Freeze, frozen
from control.collect import Collector
from control.store import audit_search
from control.store.audit import utc
from control.store.engine import Connection

_KINDS: Final = (AccessGranted, AccessRevoked, TrafficDiverted, TrafficRestored, FreezeBegan, FreezeEnded)
# Of each kind; there are at most 1000 tokens, and what is older than this has ended long ago.
_READ_MAX: Final = 2000
# Enough of a token's digest to tell it from its successor.
_FINGERPRINT: Final = 12


class Diversion(NamedTuple):
    """A proxy that takes requests away from a canary."""

    route: str
    variant: str
    node: str
    boot: str


class Access(NamedTuple):
    """What the holder of a token may do; `token` is the beginning of the token's SHA-256."""

    role: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the log has told of the beginning, and not of the end."""

    access: Mapping[str, Access] = field(default_factory=dict)
    """By holder."""
    diverted: frozenset[Diversion] = frozenset()
    frozen: frozenset[str] = frozenset()
    """Names of freezes; those of one route as ``route/name``."""

    def after(self, events: Iterable[AuditEvent]) -> Standing:
        """The same once *events* are written."""
        told = [(event.name, event.resource_id, event.details()) for event in events]
        return self._after(told) if told else self

    def access_events(self, tokens: Iterable[Token]) -> list[AuditEvent]:
        """What is new when *tokens* are those that are accepted."""
        wanted = {token.name: Access(str(token.role), token.sha256[:_FINGERPRINT]) for token in tokens}
        events: list[AuditEvent] = []
        for name, had in self.access.items():
            has = wanted.get(name)
            if has != had:
                reason = "it left the configuration" if has is None else _difference(had, has)
                events.append(AccessRevoked(resource_id=name, role=had.role, token=had.token, reason=reason))
        for name, has in wanted.items():
            before = self.access.get(name)
            if has != before:
                reason = "it is in the configuration" if before is None else _difference(before, has)
                events.append(AccessGranted(resource_id=name, role=has.role, token=has.token, reason=reason))
        return events

    def traffic_events(self, collector: Collector) -> list[AuditEvent]:
        """What is new by what the proxies last reported."""
        now = {Diversion(*each) for each in collector.diverted()}
        events: list[AuditEvent] = [
            TrafficDiverted(resource_id=route, variant=variant, node=node, boot=boot)
            for route, variant, node, boot in sorted(now - self.diverted)
        ]
        for route, variant, node, boot in sorted(self.diverted - now):
            ended = collector.has_ended((node, boot))
            # After a restart of this process a diversion stands until its proxy has been heard of.
            if ended or collector.has_reported((node, boot)):
                reason = "the proxy has ended" if ended else "the proxy lets requests through again"
                events.append(
                    TrafficRestored(resource_id=route, variant=variant, node=node, boot=boot, reason=reason)
                )
        return events

    def freeze_events(self, config: Config, wall: float) -> list[AuditEvent]:
        """What is new at *wall*, in Unix seconds."""
        known, opened = set(), {}
        for name, freeze in _freezes(config):
            known.add(name)
            if (window := frozen((freeze,), wall)) is not None:
                opened[name] = "" if window.until is None else utc(window.until)
        events: list[AuditEvent] = [
            FreezeBegan(resource_id=name, reason="the configuration asks for it", until=until)
            for name, until in opened.items()
            if name not in self.frozen
        ]
        events += [
            FreezeEnded(
                resource_id=name, reason="its time is over" if name in known else "it left the configuration"
            )
            for name in sorted(self.frozen - opened.keys())
        ]
        return events

    def _after(self, told: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Standing:
        access, diverted, frozen = dict(self.access), set(self.diverted), set(self.frozen)
        for kind, resource, details in told:
            if kind == AccessGranted.name:
                access[resource] = Access(details["role"], details.get("token", ""))
            elif kind == AccessRevoked.name:
                access.pop(resource, None)
            elif kind in (TrafficDiverted.name, TrafficRestored.name):
                each = Diversion(resource, details["variant"], details["node"], details["boot"])
                (diverted.add if kind == TrafficDiverted.name else diverted.discard)(each)
            elif kind == FreezeBegan.name:
                frozen.add(resource)
            elif kind == FreezeEnded.name:
                frozen.discard(resource)
        return Standing(access=access, diverted=frozenset(diverted), frozen=frozenset(frozen))


async def read_standing(connection: Connection) -> Standing:
    """What the log says; reports from outside do not count, only what Headgate saw itself."""
    records = await audit_search.newest_of_types(connection, [kind.name for kind in _KINDS], limit=_READ_MAX)
    bodies = [orjson.loads(record.body) for record in records]
    return Standing()._after(
        (body["type"], body["resource_id"], body["details"]) for body in bodies if body["source"] == "system"
    )


def _freezes(config: Config) -> Iterable[tuple[str, Freeze]]:
    for plain in plain_freezes(config.freezes):
        yield plain["name"], Freeze.from_plain(plain)
    for route in config.routes:
        own = () if route.rollout is None else route.rollout.freezes or ()
        for plain in plain_freezes(own):
            yield f"{route.name}/{plain['name']}", Freeze.from_plain(plain)


def _difference(before: Access, after: Access) -> str:
    if before.role != after.role:
        return f"its role is {after.role} now, it was {before.role}"
    return "another token took its place"
