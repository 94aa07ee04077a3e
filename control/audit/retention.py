"""What may leave the log: personal fields that must be erased, and events older than they need be kept."""

import time
from dataclasses import dataclass

from control.audit.events import Origin
from control.audit.kinds.log import AuditTrimmed, PersonalDataErased
from control.audit.tiles import WIDTH
from control.ids import new_id
from control.store import audit, audit_removal, audit_tiles
from control.store.engine import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """How many events were removed, and which is now the first."""

    events: int
    first: int


async def erase(store: Store, *, actor: str, names: bool, reason: str, origin: Origin) -> int:
    """Erase address, user agent, session and other personal fields of what *actor* did; the number of events.

    With *names* the name goes as well. Values and salts go together, so that not even a guess can be checked;
    the log itself is not touched, and every proof stays valid.
    """
    async with store.write() as connection:
        sequences = await audit_removal.erase(connection, actor=actor, names=names)
        event = PersonalDataErased(
            resource_id=new_id("x"),
            events=len(sequences),
            fields=["actor", "origin"] if names else ["origin"],
            sequences=sequences[:1000],
            reason=reason,
        )
        await audit.append(connection, [event], origin=origin, at=time.time(), config_digest="")
    return len(sequences)


async def trim(store: Store, *, before: float, archive: str, reason: str, origin: Origin) -> Trimmed:
    """Remove the events from the beginning of the log up to the first that is not older than *before*.

    Whole tiles go, so the hashes of all that is removed stay: roots, checkpoints and proofs are as before.
    An event tells of it, with the root over what was removed and the place of its export.
    """
    async with store.write() as connection:
        head = await audit.head(connection, lock=True)
        oldest = await audit_removal.first_since(connection, before)
        kept_from = head.size if oldest is None else oldest - 1
        last = kept_from // WIDTH * WIDTH
        if last <= head.trimmed:
            return Trimmed(events=0, first=head.trimmed + 1)
        root = await audit_tiles.root_at(connection, last)
        await audit_removal.trim(connection, last)
        event = AuditTrimmed(
            resource_id=str(last), events=last - head.trimmed, root=root.hex(), archive=archive, reason=reason
        )
        await audit.append(connection, [event], origin=origin, at=time.time(), config_digest="")
    return Trimmed(events=last - head.trimmed, first=last + 1)
