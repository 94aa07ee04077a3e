"""Which arm each slot of the counter pages counts.

An arm is counted by (route, variant, role, stage). A new arm takes a free slot. An arm that left the table
keeps its slot while a worker may still route by an older table or has requests of it in flight; only then is
the slot given to another arm.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from proxy.counters import SLOTS

Table = dict[str, Any]


class ArmKey(NamedTuple):
    """What is counted apart."""

    route: str
    variant: str
    role: str
    stage: str


class SlotsExhaustedError(Exception):
    """A table needs more slots than are free; the table in use stays."""


def arm_key(arm: dict[str, Any]) -> ArmKey:
    """Return the key of one arm of a plain-JSON table."""
    return ArmKey(arm["route"], arm["variant"], arm["role"], arm["stage"])


class SlotBook:
    """The slots of one boot: those of the current table, those on their way out, and the free ones."""

    def __init__(self, slots: int = SLOTS) -> None:
        self.slots = slots
        self.current: dict[ArmKey, int] = {}
        # Slot, and the first revision without the arm.
        self.leaving: dict[ArmKey, tuple[int, int]] = {}
        # Slot 0 means "no arm". Freed slots go to the end, so that a slot rests as long as possible.
        self.free: list[int] = list(range(1, slots))
        # How often an arm was counted under an earlier stage because no slot was free.
        self.shared = 0

    def allot(self, table: Table) -> Table:
        """Return `table` with a slot in each arm, and note which arms left.

        When slots run short, an arm whose route, variant and role are already counted under another stage
        goes on in that slot, so that a table that takes traffic away from a bad variant is never held up.
        Raises SlotsExhaustedError, and changes nothing, when that does not suffice.
        """
        counted_as = self._counted_as([arm_key(arm) for arm in table["arms"]], table["revision"])
        slots = {key: self._slot(key) for key in dict.fromkeys(counted_as.values())}
        for key, slot in self.current.items():
            if key not in slots:
                self.leaving[key] = (slot, table["revision"])
        self.current = slots
        arms = [{**arm, "slot": slots[counted_as[arm_key(arm)]]} for arm in table["arms"]]
        return {**table, "arms": arms}

    def _counted_as(self, keys: list[ArmKey], revision: int) -> dict[ArmKey, ArmKey]:
        """Return the key that each arm of a table is counted by: its own, unless slots ran short."""
        counted_as = {key: key for key in keys}
        known = self.occupied()
        new = [key for key in counted_as if key not in known]
        short = len(new) - len(self.free)
        if short <= 0:
            return counted_as
        earlier = {key[:3]: key for key in known}
        shared = [key for key in new if key[:3] in earlier][:short]
        if len(shared) < short:
            raise SlotsExhaustedError(
                f"table {revision} needs {len(new)} new counter slots and {len(self.free)} of"
                f" {self.slots - 1} are free ({len(self.leaving)} still drain); use fewer routes and"
                " variants, or wait until the requests of earlier tables have ended"
            )
        self.shared += len(shared)
        return {**counted_as, **{key: earlier[key[:3]] for key in shared}}

    def _slot(self, key: ArmKey) -> int:
        if key in self.current:
            return self.current[key]
        if key in self.leaving:
            return self.leaving.pop(key)[0]
        return self.free.pop(0)

    def occupied(self) -> dict[ArmKey, int]:
        """Return the slot of every arm that may still be counted."""
        return {**self.current, **{key: slot for key, (slot, _) in self.leaving.items()}}

    def recyclable(self, revision_acked: int, quiet: Callable[[int], bool]) -> list[ArmKey]:
        """Return the arms whose slot nobody can write any more.

        `revision_acked` is the oldest revision that any worker may still route by; `quiet(slot)` says that
        nothing is in flight in the slot on any page.
        """
        return [
            key
            for key, (slot, revision) in self.leaving.items()
            if revision <= revision_acked and quiet(slot)
        ]

    def release(self, key: ArmKey) -> int:
        """Free the slot of an arm that left, and return it."""
        slot, _ = self.leaving.pop(key)
        self.free.append(slot)
        return slot

    def to_json(self) -> dict[str, list[str]]:
        """Return the arm of each occupied slot."""
        return {str(slot): list(key) for key, slot in self.occupied().items()}
