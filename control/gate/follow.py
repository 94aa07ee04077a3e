"""Follows one rollout to its end through the admin interface, whatever restarts meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import quote

from control.cli.client import Answer, rollout_path
from control.cli.failure import CommandError, UnreachableError
from control.cli.rollouts import standing
from control.gate.verdict import GateCode, GateResult, Json, Until, has_shadows, outcome_of

_LOOK_S: Final = 0.5
# A pipeline's runner takes a job that says nothing for hung, some after ten minutes.
_SAY_S: Final = 60.0


class Admin(Protocol):
    """What of an `AdminClient` is used."""

    def exchange(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """One request, whatever its answer."""

    def failure(self, answer: Answer) -> CommandError:
        """What an answer that is no success means."""


class Undecided(StrEnum):
    """What becomes of a rollout that is undecided when the time is up."""

    HOLD = "hold"
    ABORT = "abort"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to wait for, and how long; lengths of time in seconds."""

    route: str
    release: str = ""
    """Only a rollout of this release counts; empty: whatever is on the route."""
    timeout_s: float
    appear_s: float = 60.0
    """How long the rollout may take to appear: a changed configuration takes a moment to come into force."""
    unreachable_s: float = 60.0
    """How long nobody may answer, at the start and later."""
    watch_s: float = 0.0
    """How long to go on watching after a promotion."""
    undecided: Undecided = Undecided.HOLD
    until: Until = Until.DECISION


class Gate:
    """One wait."""

    def __init__(
        self,
        admin: Admin,
        wish: Wish,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`say` gets a line when something changes, and once a minute when nothing does."""
        self._admin = admin
        self._wish = wish
        self._say = say
        self._clock = clock
        self._sleep = sleep
        self._began = clock()
        self._answered = self._began
        self._said = ""
        self._said_at = self._began
        self._rollout: Json | None = None

    def run(self) -> GateResult:
        """Wait.

        Raises:
            CommandError: the route is unknown or carries another release, or the token is refused.
        """
        try:
            rollout = self._appear()
            if self._wish.until is Until.SHADOW and not has_shadows(rollout):
                raise CommandError(
                    f"the rollout of {self._wish.route!r} compares no shadow",
                    "give it a step such as {shadow: NAME, agreement: 99%}",
                )
            rollout = self._decided(rollout)
            if rollout["state"] == "promoted":
                rollout = self._watched(rollout)
            return self._result(rollout)
        except UnreachableError as error:
            return self._nobody(error)

    # Phases.

    def _appear(self) -> Json:
        """The rollout to follow, once it is there."""
        deadline = self._began + min(self._wish.appear_s, self._wish.timeout_s)
        while True:
            found, missing = self._look(self._wish.route)
            if found is not None and self._is_meant(found):
                return found
            if self._clock() >= deadline:
                raise self._absent(found, missing)
            self._note(f"{self._wish.route}: waiting for {self._wish.release or 'a rollout'} to appear")
            self._pause(deadline)

    def _decided(self, rollout: Json) -> Json:
        deadline = self._began + self._wish.timeout_s
        while self._outcome(rollout) is None:
            if self._clock() >= deadline:
                return self._give_up(rollout)
            self._tell(rollout)
            self._pause(deadline)
            rollout = self._again(rollout)
        self._tell(rollout)
        return rollout

    def _watched(self, rollout: Json) -> Json:
        deadline = self._clock() + self._wish.watch_s
        while rollout["state"] == "promoted" and self._clock() < deadline:
            self._note(f"{self._wish.route}: promoted; watching it for a while longer")
            self._pause(deadline)
            rollout = self._again(rollout)
        return rollout

    def _give_up(self, rollout: Json) -> Json:
        """The time is up."""
        if self._wish.undecided is Undecided.HOLD:
            return rollout
        command = self._wish.undecided.value
        reason = f"undecided after {self._wish.timeout_s:g} s, and the pipeline waits no longer"
        answer = self._admin.exchange("POST", rollout_path(rollout["id"], command), {"reason": reason})
        if answer.status >= 400:
            # It may have come to its own decision in the same moment, which then stands.
            current = self._again(rollout)
            if self._outcome(current) is None:
                raise CommandError(f"{command} was refused: {self._admin.failure(answer).format_message()}")
            return current
        self._say(f"{self._wish.route}: undecided; {command} done")
        # Asked for by the pipeline because nothing was shown: still "undecided", not "bad".
        return {**self._again(rollout), "state": rollout["state"]}

    # Looking.

    def _look(self, name: str) -> tuple[Json | None, CommandError | None]:
        """A rollout by route or id; None and why when there is no such thing."""
        while True:
            try:
                answer = self._admin.exchange("GET", rollout_path(name))
                if answer.status == 404:
                    return None, self._admin.failure(answer)
                if answer.status >= 400:
                    raise self._admin.failure(answer)
                found = answer.value
                if not isinstance(found, dict) or "state" not in found:
                    raise CommandError(
                        "the answer is not that of Headgate's admin interface", "check --admin"
                    )
                self._answered = self._clock()
                self._rollout = found
                return found, None
            except UnreachableError:
                # Whoever restarts comes back, and what was decided meanwhile is kept.
                if self._clock() - self._answered >= self._wish.unreachable_s or self._is_late():
                    raise
                self._note(f"{self._wish.route}: nobody answers; trying again")
                self._sleep(_LOOK_S)

    def _again(self, rollout: Json) -> Json:
        found, missing = self._look(rollout["id"])
        if found is None:
            raise missing or CommandError(f"rollout {rollout['id']} is gone")
        return found

    def _is_meant(self, rollout: Json) -> bool:
        wanted = self._wish.release
        return not wanted or wanted in (rollout.get("release"), rollout["canary"])

    def _outcome(self, rollout: Json) -> GateCode | None:
        return outcome_of(rollout, self._wish.until)

    def _is_late(self) -> bool:
        return self._clock() >= self._began + self._wish.timeout_s + self._wish.watch_s

    def _absent(self, found: Json | None, missing: CommandError | None) -> CommandError:
        if found is None:
            return missing or CommandError(f"there is no rollout on {self._wish.route!r}")
        carries = found.get("release") or found["canary"]
        return CommandError(
            f"the rollout of route {self._wish.route!r} is about {carries}, not about {self._wish.release}",
            "put the release on the route first, or wait longer with --appear",
        )

    # Reporting.

    def _result(self, rollout: Json) -> GateResult:
        decision = self._decision(rollout)
        ended = self._outcome(rollout)
        code = GateCode.UNDECIDED if ended is None else ended
        reason = str(rollout.get("reason") or "")
        if code is GateCode.UNDECIDED and not reason:
            reason = _why_undecided(rollout)
        return GateResult(
            code=code,
            route=str(rollout["route"]),
            release=str(rollout.get("release") or rollout["canary"]),
            reason=reason,
            rollout=rollout,
            decision=decision,
            seconds=self._clock() - self._began,
            until=self._wish.until,
        )

    def _nobody(self, error: UnreachableError) -> GateResult:
        return GateResult(
            code=GateCode.UNREACHABLE,
            route=self._wish.route,
            release=self._wish.release,
            reason=error.format_message(),
            rollout=self._rollout,
            decision=None,
            seconds=self._clock() - self._began,
        )

    def _decision(self, rollout: Json) -> Json | None:
        """The newest decision, whole."""
        newest = (rollout.get("decisions") or [None])[0]
        if newest is None:
            return None
        answer = self._admin.exchange("GET", f"/v1/decisions/{quote(str(newest['id']), safe='')}")
        found = answer.value if answer.status == 200 else newest
        return dict(found)

    def _tell(self, rollout: Json) -> None:
        analysis = rollout.get("analysis") or {}
        key = f"{rollout['state']} {rollout['step']} {analysis.get('verdict')} {analysis.get('hold')}"
        line = standing(rollout)
        if (more := _needed(rollout)) and self._outcome(rollout) is None:
            line += f"; {more}"
        self._note(line, key)

    def _note(self, line: str, key: str = "") -> None:
        """Say a line unless just that was the last thing said, less than a minute ago."""
        key = key or line
        if key != self._said or self._clock() - self._said_at >= _SAY_S:
            self._say(line)
            self._said, self._said_at = key, self._clock()

    def _pause(self, deadline: float) -> None:
        self._sleep(max(0.0, min(_LOOK_S, deadline - self._clock())))


def _why_undecided(rollout: Json) -> str:
    analysis = rollout.get("analysis") or {}
    if analysis.get("hold"):
        return str(analysis["hold"])
    waiting = [gate["text"] for gate in rollout.get("gates", ()) if not gate["met"]]
    if more := _needed(rollout):
        waiting.append(more)
    return "; ".join(waiting) or str(analysis.get("reason") or "no analysis was made yet")


def _needed(rollout: Json) -> str:
    """What the guardrail that needs most still needs; empty when that is nothing or cannot be said."""
    need = next((need for need in rollout.get("needs") or () if need["requests"]), None)
    if need is None:
        return ""
    return f"{need['guardrail']} needs about {need['requests']} more canary requests at this step"
