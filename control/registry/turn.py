"""One change of the registry: alone in the store, under the rules in force, told to the audit log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from sqlalchemy.exc import DBAPIError, IntegrityError

from control.audit.events import AuditEvent, Origin
from control.errors import BusyError, ConflictError
from control.registry.policy import Policy
from control.store import audit, releases, tables
from control.store.engine import Connection, Store
from control.store.patience import Patience, passes

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the configuration in force says: its registry section as a policy, and all of it as plain JSON."""

    policy: Policy
    config: Mapping[str, Any]
    config_digest: str


@dataclass(slots=True, kw_only=True)
class Turn:
    """A transaction in which nobody else writes; what happens in it is told in `events`."""

    connection: Connection
    rules: Rules
    origin: Origin
    at: float
    events: list[AuditEvent] = field(default_factory=list)

    @property
    def policy(self) -> Policy:
        return self.rules.policy


class Desk:
    """Where registry and approvals get their turn at the store."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.now = now
        self._rules: tuple[int, Rules] | None = None

    async def rules(self, connection: Connection) -> Rules:
        """The rules in force, as this transaction sees them."""
        sequence = await tables.newest_configuration_sequence(connection)
        if self._rules is None or self._rules[0] != sequence:
            stored = await tables.newest_configuration(connection)
            config = {} if stored is None else orjson.loads(stored.body)
            rules = Rules(
                policy=Policy.of(config.get("registry")),
                config=config,
                config_digest="" if stored is None else stored.digest,
            )
            self._rules = (sequence, rules)
        return self._rules[1]

    async def write(self, origin: Origin, work: Callable[[Turn], Awaitable[T]]) -> T:
        """Do *work* in one transaction with its audit events, waiting for other writers.

        Raises:
            BusyError: they took too long.
            ConflictError: somebody who does not take turns wrote the same.
        """
        patience = Patience()
        while True:
            try:
                return await self._once(origin, work)
            except IntegrityError as error:
                raise ConflictError(f"the store refused it: {_cause(error)}", "look at it again") from error
            except DBAPIError as error:
                if not passes(error):
                    raise
                if not await patience.pause():
                    raise BusyError(
                        f"the store was busy for {patience.seconds:g} s", "end what holds it, and try again"
                    ) from error

    async def _once(self, origin: Origin, work: Callable[[Turn], Awaitable[T]]) -> T:
        async with self.store.write() as connection:
            await releases.take_turn(connection)
            rules = await self.rules(connection)
            turn = Turn(connection=connection, rules=rules, origin=origin, at=self.now())
            result = await work(turn)
            await audit.append(
                connection, turn.events, origin=origin, at=turn.at, config_digest=rules.config_digest
            )
        return result


def _cause(error: DBAPIError) -> str:
    return " ".join(str(error.orig or error).split())
