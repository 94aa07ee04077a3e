"""Deployments as operations: create one, look after it each tick, do what a person asks of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import orjson

from control.audit.events import CONTROLLER, Origin
from control.audit.kinds.deployments import DeploymentCreated, DeploymentMoved, DeploymentRolledBack
from control.calendar import Freeze, frozen
from control.change import Change, Lifted
from control.configuration import ConfigurationError
from control.controller import Controller
from control.deployments.deployment import Deployment, Strategy
from control.deployments.figures import metrics_of, window_metrics, with_resources
from control.deployments.health import check
from control.deployments.prober import Prober
from control.deployments.request import Wanted, read_request
from control.deployments.resources import Scraper
from control.deployments.states import OPEN, Event, Status
from control.deployments.strategies import SERVING, Next, Seen, condemns, first_phase, next_of
from control.errors import ConflictError, NotFoundError, TransitionError
from control.ids import new_id
from control.overlay import base_digest
from control.plans.presets import PRESETS
from control.recent import Window
from control.rollout.commands import Refused, Verb
from control.shadows.gate import ShadowFinding, ShadowGate
from control.store import undertakings

log: Final = logging.getLogger("headgate.control")

# Processor time of less than this is too short to divide by.
_SCRAPE_SECONDS: Final = 5.0
# How often a shadow's gate may be wrong: a deployment has no rollout of its own to say so.
_ODDS: Final = PRESETS["balanced"]
# Figures alone are written down this often; every change of status is, at once.
_SAVE_SECONDS: Final = 10.0


class Act(StrEnum):
    """What a person may ask of a deployment."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ROLLBACK = "rollback"
    CANCEL = "cancel"


_EVENTS: Final[Mapping[Act, Event]] = {
    Act.PROMOTE: Event.COMPLETE,
    Act.PAUSE: Event.PAUSE,
    Act.RESUME: Event.RESUME,
    Act.ROLLBACK: Event.ROLL_BACK,
    Act.CANCEL: Event.CANCEL,
}
_VERBS: Final[Mapping[Act, Verb]] = {
    Act.PROMOTE: Verb.PROMOTE,
    Act.PAUSE: Verb.PAUSE,
    Act.RESUME: Verb.RESUME,
    Act.ROLLBACK: Verb.ROLLBACK,
    Act.CANCEL: Verb.ABORT,
}


class Deployments:
    """All operations on deployments; each is one transaction with its audit events."""

    def __init__(self, controller: Controller, window: Window, prober: Prober | None = None) -> None:
        self._controller = controller
        self._ledger = controller.ledger
        self._window = window
        self.prober = prober or Prober()
        self.scraper = Scraper()
        self._saved: dict[str, float] = {}

    async def create(self, body: Mapping[str, Any], origin: Origin) -> Deployment:
        """Record what is wanted; the next tick begins it.

        Raises:
            InvalidError: the request cannot be meant.
            ConflictError: something else decides about the route now, the release is quarantined, or the
                route is protected and may not have it.
        """
        ledger = self._ledger
        async with ledger.lock:
            await ledger.fresh()
            active = ledger.active
            if active is None:
                raise ConflictError("there is no configuration yet", "wait for the agent")
            wanted = read_request(body, active.config)
            self._check_free(wanted.route, wanted.strategy)
            change = self._controller.change(origin)
            self._check_quarantine(change, wanted)
            base = base_digest(active.base, wanted.route)
            assert base is not None
            made = Deployment(
                id=new_id("p"),
                route=wanted.route,
                strategy=wanted.strategy,
                target=wanted.target,
                baseline=wanted.baseline,
                release=wanted.release,
                environment=wanted.environment,
                endpoints=wanted.endpoints,
                base=base,
                upstreams=wanted.upstreams,
                settings=wanted.settings,
                created_at=change.wall,
                created_by=origin.actor,
                reason=wanted.reason,
                before=window_metrics(ledger, self._window, change.steady, wanted.route, wanted.baseline),
            )
            # What an earlier attempt has answered on this route is not its own.
            made = replace(made, mark=metrics_of(made, ledger.collector.totals(), None))
            previous = ledger.deployments.get(wanted.route)
            if previous is not None:
                change.deployments[previous.id] = replace(previous, current=False)
            # Now, not at the tick that begins it: whoever asks learns whose approval is missing.
            begins = Next(event=Event.BEGIN, phase=first_phase(made.strategy))
            await self._try_out(change, _moved(made, begins, change))
            change.deployments[made.id] = made
            change.events.append(
                DeploymentCreated(
                    resource_id=made.id,
                    route=made.route,
                    strategy=str(made.strategy),
                    release=made.release,
                    environment=made.environment,
                    reason=made.reason,
                    target=made.target,
                    baseline=made.baseline,
                    endpoints=list(made.endpoints),
                    settings=made.settings.to_json(),
                )
            )
            self.prober.forget(made.endpoints)
            self.scraper.forget(made.endpoints)
            await self._settle(change, anew=frozenset({made.route}))
            return made

    async def act(self, identifier: str, act: Act, reason: str, origin: Origin) -> Deployment:
        """Do what a person asks of a deployment.

        Raises:
            NotFoundError: there is none.
            TransitionError: its status does not allow it.
        """
        async with self._ledger.lock:
            await self._ledger.fresh()
            found = self._find(identifier)
        if found is None:
            raise await self._gone(identifier)
        rollout = found.strategy in (Strategy.CANARY, Strategy.ROLLING) and found.status is not Status.PENDING
        if rollout and found.route in self._ledger.records:
            try:
                await self._controller.command(found.route, _VERBS[act], reason, origin)
            except Refused as refused:
                raise TransitionError(refused.message, refused.remedy) from refused
            await self.tend(origin)
            return await self.get(identifier)
        async with self._ledger.lock:
            await self._ledger.fresh()
            deployment = self._find(identifier) or found
            change = self._controller.change(origin)
            step = Next(event=_EVENTS[act], reason=reason or f"asked for by {origin.actor}")
            if act is Act.PROMOTE:
                step = replace(step, phase=SERVING)
            moved = self._apply(change, deployment, step)
            change.deployments[moved.id] = moved
            await self._settle(change)
            return moved

    async def get(self, identifier: str) -> Deployment:
        """One by its id, or the current one of a route, else its latest.

        Raises:
            NotFoundError: there is none.
        """
        found = self._find(identifier)
        if found is not None:
            return found
        async with self._ledger.store.read() as connection:
            row = await undertakings.named(connection, undertakings.DEPLOYMENTS, identifier)
        if row is None:
            raise NotFoundError(
                f"there is no deployment {identifier!r}", "list them with headgate deployment list"
            )
        return Deployment.from_json(orjson.loads(row.document))

    async def tend(self, origin: Origin = CONTROLLER) -> None:
        """Look after every deployment in charge of a route; for the tick."""
        ledger = self._ledger
        if not ledger.deployments:
            return
        async with ledger.lock:
            await ledger.fresh()
            change = self._controller.change(origin)
            totals = ledger.collector.totals()
            recent = self._window.recent(change.steady, totals)
            before = dict(ledger.deployments)
            for deployment in list(ledger.deployments.values()):
                after = self._look(change, deployment, totals, recent)
                if after != deployment:
                    ledger.deployments[after.route] = after
                if after.status is not deployment.status or after.phase != deployment.phase:
                    change.deployments[after.id] = after
                elif after.health is not deployment.health or self._due(after.id, change.steady):
                    self._saved[after.id] = change.steady
                    change.deployments[after.id] = after
            present = {each.id for each in ledger.deployments.values()}
            self._saved = {each: at for each, at in self._saved.items() if each in present}
            if change.empty:
                return
            try:
                await self._controller.settle(change)
            except ConfigurationError as error:
                ledger.deployments = before
                await self._refuse(origin, str(error))
            except BaseException:
                ledger.deployments = before
                raise

    async def _refuse(self, origin: Origin, reason: str) -> None:
        """End what was to begin and may not: approvals can lapse between the request and the tick."""
        change = self._controller.change(origin)
        for deployment in self._ledger.deployments.values():
            if deployment.status is Status.PENDING:
                step = Next(event=Event.CANCEL, reason=reason, trigger="approval")
                change.deployments[deployment.id] = self._apply(change, deployment, step)
        await self._controller.settle(change)

    async def close(self) -> None:
        """Stop probing."""
        await self.prober.close()
        await self.scraper.close()

    def _look(self, change: Change, deployment: Deployment, totals: Any, recent: Any) -> Deployment:
        if deployment.finished:
            return deployment
        settings = deployment.settings
        probes = self.prober.probes(
            deployment.endpoints,
            settings.probe_path,
            interval_s=settings.probe_interval_s,
            now=change.steady,
        )
        told = self.scraper.resources(
            deployment.endpoints,
            settings.metrics_path,
            interval_s=max(_SCRAPE_SECONDS, settings.probe_interval_s),
            now=change.steady,
        )
        figures = with_resources(metrics_of(deployment, totals, recent), told)
        found = check(probes, figures, limit=settings.max_failure_rate, at=change.wall)
        looked = deployment.checked(found, figures)
        record = self._ledger.records.get(deployment.route)
        mine = record is not None and record.rollout.canary == deployment.target
        seen = Seen(
            now=change.steady,
            probes=probes,
            shadow=self._shown(looked),
            rollout=record.rollout.state if record is not None and mine else None,
            rollout_reason=record.rollout.reason if record is not None and mine else "",
        )
        step = next_of(looked, seen)
        if record is not None and mine and looked.rollout != record.rollout.id:
            looked = replace(looked, rollout=record.rollout.id)
        return self._apply(change, looked, step, totals) if step.event is not None or step.phase else looked

    def _shown(self, deployment: Deployment) -> ShadowFinding | None:
        """What a shadow has shown, where its answers decide."""
        settings = deployment.settings
        if deployment.strategy is not Strategy.SHADOW or not settings.agreement:
            return None
        gate = ShadowGate(
            shadow=deployment.target,
            agreement=settings.agreement,
            latency_ratio=settings.latency_ratio,
            requests=settings.pairs,
        )
        return self._ledger.gate_finding(
            gate, deployment.route, alpha=_ODDS.alpha, alpha_promote=_ODDS.alpha_promote
        )

    def _apply(self, change: Change, deployment: Deployment, step: Next, totals: Any = None) -> Deployment:
        moved = _moved(deployment, replace(step, phase=""), change)
        if step.phase and step.phase != deployment.phase:
            counted = self._ledger.collector.totals() if totals is None else totals
            moved = replace(
                moved,
                phase=step.phase,
                phase_since=change.steady,
                mark=metrics_of(replace(moved, mark=None), counted, None),
            )
        log.info("deployment %s of %s: %s, because %s", moved.id, moved.route, moved.status.name, step.reason)
        change.events.append(_event(deployment, moved, step))
        if condemns(deployment, step):
            change.condemn(moved, step.reason)
        return moved

    async def _try_out(self, change: Change, begun: Deployment) -> None:
        trial = self._controller.change(change.origin)
        trial.deployments = change.deployments | {begun.id: begun}
        try:
            await self._controller.try_out(trial)
        except ConfigurationError as error:
            raise ConflictError(str(error), "correct the request, or get it approved") from error

    async def _settle(self, change: Change, *, anew: frozenset[str] = frozenset()) -> None:
        try:
            await self._controller.settle(change, anew=anew)
        except ConfigurationError as error:
            raise ConflictError(str(error), "correct the request, or the configuration") from error

    def _check_free(self, route: str, strategy: Strategy) -> None:
        ledger = self._ledger
        present = ledger.deployments.get(route)
        if present is not None and present.status in OPEN:
            raise ConflictError(
                f"deployment {present.id} of {route} is {present.status.name.lower()}", "end it first"
            )
        if route in ledger.experiments:
            raise ConflictError(f"experiment {ledger.experiments[route].id} runs on {route}", "end it first")
        record = ledger.records.get(route)
        if record is not None and record.judged:
            raise ConflictError(f"a rollout of {route} is under way", "wait for it, or abort it")
        assert ledger.active is not None
        if strategy is Strategy.SHADOW:
            return
        freezes = tuple(
            Freeze.from_plain(each.model_dump(mode="json", by_alias=True))
            for each in ledger.active.base.freezes
        )
        window = frozen(freezes, self._controller.clock.wall())
        if window is not None:
            raise ConflictError(window.text, "wait until it is over")

    def _check_quarantine(self, change: Change, wanted: Wanted) -> None:
        """A release that was condemned gets requests again only when a person says why."""
        row = self._ledger.quarantine.get(wanted.subject)
        if row is None or wanted.strategy is Strategy.SHADOW:
            return
        if not wanted.lift:
            raise ConflictError(
                f"{wanted.release or wanted.target} is quarantined on {wanted.route}: {row.reason}",
                "deploy another release, or lift it (--lift-quarantine) with a reason",
            )
        change.lifted.append(Lifted(quarantine=row, reason=wanted.reason))

    def _find(self, identifier: str) -> Deployment | None:
        present = self._ledger.deployments
        if identifier in present:
            return present[identifier]
        return next((each for each in present.values() if each.id == identifier), None)

    async def _gone(self, identifier: str) -> Exception:
        found = await self.get(identifier)
        return TransitionError(
            f"deployment {identifier} is {found.status.name.lower()} and another one has its place",
            "make a new deployment",
        )

    def _due(self, identifier: str, now: float) -> bool:
        return now - self._saved.get(identifier, 0.0) >= _SAVE_SECONDS


def _event(before: Deployment, after: Deployment, step: Next) -> DeploymentMoved | DeploymentRolledBack:
    common: dict[str, Any] = {
        "resource_id": after.id,
        "route": after.route,
        "strategy": str(after.strategy),
        "release": after.release,
        "environment": after.environment,
        "reason": step.reason,
    }
    if after.status is Status.ROLLED_BACK:
        return DeploymentRolledBack(**common, trigger=after.rollback_trigger)
    return DeploymentMoved(
        **common,
        from_status=before.status.name.lower(),
        to_status=after.status.name.lower(),
        phase=after.phase,
    )


def _moved(deployment: Deployment, step: Next, change: Change) -> Deployment:
    moved = deployment
    if step.event is not None:
        moved = moved.moved(
            step.event, actor=change.origin.actor, reason=step.reason, at=change.wall, trigger=step.trigger
        )
    return replace(moved, phase=step.phase) if step.phase else moved
