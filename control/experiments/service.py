"""Experiments as operations: create, start, pause, complete, cancel, look after each tick, analyse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
import orjson

from config.values import parse_fraction
from control.audit.events import CONTROLLER, AuditEvent, Origin
from control.audit.kinds.experiments import (
    AbTestCancelled,
    AbTestCompleted,
    AbTestCreated,
    AbTestPaused,
    AbTestResumed,
    AbTestStarted,
)
from control.calendar import Freeze, frozen
from control.change import Change
from control.configuration import ConfigurationError
from control.controller import Controller
from control.counts import NOTHING, ArmKey, Counts
from control.deployments.states import OPEN
from control.errors import ConflictError, NotFoundError
from control.experiments.analysis import analyse
from control.experiments.comparison import Comparison
from control.experiments.experiment import Experiment
from control.experiments.figures import Arm
from control.experiments.layers import free_range
from control.experiments.request import metrics_of, read_request
from control.experiments.states import Event, Status
from control.ids import new_id
from control.judge import arm_counts
from control.overlay import base_digest
from control.stats.overdispersion import phi_by_place, requests_per_unit
from control.store import undertakings

_SAVE_SECONDS: Final = 10.0


class Act(StrEnum):
    """What a person may ask of an experiment."""

    START = "start"
    PAUSE = "pause"
    COMPLETE = "complete"
    CANCEL = "cancel"


class Experiments:
    """All operations on experiments; each is one transaction with its audit event."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._ledger = controller.ledger
        self._saved: dict[str, float] = {}

    async def create(self, body: Mapping[str, Any], origin: Origin) -> Experiment:
        """Describe an experiment; it is a draft until it is started.

        Raises:
            InvalidError: the description cannot be meant.
        """
        ledger = self._ledger
        async with ledger.lock:
            await ledger.fresh()
            if ledger.active is None:
                raise ConflictError("there is no configuration yet", "wait for the agent")
            wanted = read_request(body, ledger.active.config)
            change = self._controller.change(origin)
            base = base_digest(ledger.active.base, wanted["route"])
            assert base is not None
            made = Experiment(
                id=new_id("x"), base=base, created_at=change.wall, created_by=origin.actor, **wanted
            )
            change.experiments[made.id] = made
            change.events.append(
                AbTestCreated(
                    resource_id=made.id,
                    route=made.route,
                    variants=dict(made.variants),
                    metrics=[made.metric.text],
                    plan={
                        "alpha": made.alpha,
                        "layer": made.layer,
                        "share": made.share,
                        "direction": made.metric.direction,
                        "margin": made.margin,
                    },
                )
            )
            await ledger.commit(change, ledger.records)
            return made

    async def act(self, identifier: str, act: Act, reason: str, origin: Origin) -> Experiment:
        """Do what a person asks of an experiment.

        Raises:
            NotFoundError: there is none.
            TransitionError: its status does not allow it.
            ConflictError: something else decides about its route now, or its layer is full.
        """
        ledger = self._ledger
        async with ledger.lock:
            await ledger.fresh()
            found = await self._find(identifier)
            change = self._controller.change(origin)
            before = found
            if act is Act.START and found.status is Status.DRAFT:
                found = await self._placed(found)
            elif found.status in (Status.RUNNING, Status.PAUSED):
                found = self._observed(found, change)
            because = reason or f"asked for by {origin.actor}"
            moved = found.moved(Event[act.name], actor=origin.actor, reason=because, at=change.wall)
            if moved.finished and before.status is not Status.DRAFT:
                moved = replace(moved, result=self.analysis(moved))
            change.experiments[moved.id] = moved
            change.events.append(_event(act, before, moved, because))
            try:
                await self._controller.settle(change)
            except ConfigurationError as error:
                raise ConflictError(str(error), "correct the experiment, or the configuration") from error
            return moved

    async def get(self, identifier: str) -> Experiment:
        """One by its id, or the one that runs on a route, else the route's latest.

        Raises:
            NotFoundError: there is none.
        """
        return await self._find(identifier)

    async def tend(self) -> None:
        """Take in what has been counted; for the tick."""
        ledger = self._ledger
        if not ledger.experiments:
            return
        async with ledger.lock:
            await ledger.fresh()
            change = self._controller.change(CONTROLLER)
            for experiment in list(ledger.experiments.values()):
                if experiment.status is not Status.RUNNING:
                    continue
                after = self._observed(experiment, change)
                ledger.experiments[after.route] = after
                # What has been decided is written down at once, so that nothing takes it back.
                if (
                    _decided(after) != _decided(experiment)
                    or change.steady - self._saved.get(after.id, 0.0) >= _SAVE_SECONDS
                ):
                    self._saved[after.id] = change.steady
                    change.experiments[after.id] = after
            running = {each.id for each in ledger.experiments.values()}
            self._saved = {each: at for each, at in self._saved.items() if each in running}
            if not change.empty:
                await ledger.commit(change, ledger.records)

    def analysis(self, experiment: Experiment) -> dict[str, Any]:
        """What an experiment says now, or said when it ended."""
        if experiment.result is not None:
            return dict(experiment.result)
        totals = self._ledger.collector.totals()
        counted = {name: _since(experiment, name, totals) for name in experiment.variants}
        arms = {name: _arm(name, experiment, counts) for name, counts in counted.items()}
        units = {}
        for name in experiment.treatments:
            one, other = counted[name].groups[0], counted[experiment.control].groups[0]
            if one.any() and other.any():
                together = requests_per_unit(one, other)
                units[name] = (float(one.sum()) / together, float(other.sum()) / together)
        return analyse(experiment, arms, units=units)

    def _observed(self, experiment: Experiment, change: Change) -> Experiment:
        if lost := experiment.metric_lost or self._lost(experiment):
            return replace(experiment, metric_lost=lost)
        totals = self._ledger.collector.totals()
        counted = {name: _since(experiment, name, totals) for name in experiment.variants}
        control = counted[experiment.control]
        comparisons = {}
        for name in experiment.treatments:
            mine = counted[name]
            observed = experiment.comparisons.get(name, Comparison()).observe(
                experiment.metric,
                arm_counts(mine),
                arm_counts(control),
                now=change.steady,
                phi=phi_by_place(np.stack((mine.groups, control.groups))),
            )
            comparisons[name] = observed.noted(
                experiment.metric, limit=experiment.log_threshold, at=change.wall
            )
        return replace(experiment, comparisons=comparisons)

    def _lost(self, experiment: Experiment) -> str:
        """Why the experiment's metric is not counted any more as it was; empty when it is."""
        wanted, active = experiment.metric.value, self._ledger.active
        if wanted is None or active is None:
            return ""
        route = next((each for each in active.config.routes if each.name == experiment.route), None)
        if route is not None and wanted in metrics_of(route):
            return ""
        return f"metric {wanted.name} of {experiment.route} is not what it was; describe the experiment anew"

    async def _placed(self, experiment: Experiment) -> Experiment:
        """The experiment with its place in its layer and what its variants had counted before it."""
        ledger = self._ledger
        assert ledger.active is not None
        self._check_free(experiment.route)
        if base_digest(ledger.active.base, experiment.route) != experiment.base:
            raise ConflictError(
                f"the configuration of {experiment.route} has changed since", "describe the experiment anew"
            )
        others = [each for each in ledger.experiments.values() if each.layer == experiment.layer != ""]
        place = (0.0, experiment.share)
        if experiment.layer:
            taken = [each.range for each in others]
            taken += _configured(ledger.active.base.to_json()["routes"], experiment.layer)
            if any(each.key != experiment.key for each in others):
                raise ConflictError(
                    f"layer {experiment.layer} is divided by {', '.join(others[0].key)}", "use the same key"
                )
            found = free_range(experiment.share, taken)
            if found is None:
                raise ConflictError(
                    f"layer {experiment.layer} has no {experiment.share * 100:.4g} % of its keys left",
                    "take a smaller share, or wait until another experiment of it has ended",
                )
            place = found
        totals = ledger.collector.totals()
        began = {name: _marks(_total(totals, experiment.route, name)) for name in experiment.variants}
        upstreams = ledger.active.config.upstreams
        named = {name: upstreams[name].release for name in experiment.variants if name in upstreams}
        releases = {name: release for name, release in named.items() if release}
        return replace(experiment, range=place, began=began, releases=releases)

    def _check_free(self, route: str) -> None:
        ledger = self._ledger
        if route in ledger.experiments:
            raise ConflictError(f"experiment {ledger.experiments[route].id} runs on {route}", "end it first")
        deployment = ledger.deployments.get(route)
        if deployment is not None and deployment.status in OPEN:
            raise ConflictError(f"deployment {deployment.id} of {route} is under way", "wait for it")
        record = ledger.records.get(route)
        if record is not None and record.judged:
            raise ConflictError(f"a rollout of {route} is under way", "wait for it, or abort it")
        assert ledger.active is not None
        windows = tuple(
            Freeze.from_plain(each.model_dump(mode="json", by_alias=True))
            for each in ledger.active.base.freezes
        )
        window = frozen(windows, self._controller.clock.wall())
        if window is not None:
            raise ConflictError(window.text, "wait until it is over")

    async def _find(self, identifier: str) -> Experiment:
        present = self._ledger.experiments
        if identifier in present:
            return present[identifier]
        for each in present.values():
            if each.id == identifier:
                return each
        async with self._ledger.store.read() as connection:
            row = await undertakings.named(connection, undertakings.EXPERIMENTS, identifier)
        if row is None:
            raise NotFoundError(
                f"there is no experiment {identifier!r}", "list them with headgate experiment list"
            )
        return Experiment.from_json(orjson.loads(row.document))


def _decided(experiment: Experiment) -> dict[str, Mapping[str, float]]:
    return {name: comparison.reached for name, comparison in experiment.comparisons.items()}


def _event(act: Act, before: Experiment, after: Experiment, reason: str) -> AuditEvent:
    common: dict[str, Any] = {"resource_id": after.id, "route": after.route, "reason": reason}
    match act:
        case Act.START if before.status is Status.PAUSED:
            return AbTestResumed(**common)
        case Act.START:
            return AbTestStarted(**common)
        case Act.PAUSE:
            return AbTestPaused(**common)
        case Act.CANCEL:
            return AbTestCancelled(**common)
        case Act.COMPLETE:
            result = dict(after.result or {})
            return AbTestCompleted(**common, winner=str(result.get("winner", "")), result=result)


def _configured(routes: Iterable[Mapping[str, Any]], layer: str) -> list[tuple[float, float]]:
    """The parts of a layer that splits of the configuration take."""
    found = []
    for route in routes:
        given = (route.get("split") or {}).get("layer")
        if isinstance(given, Mapping) and given.get("name") == layer:
            low, high = given["range"]
            found.append((parse_fraction(low), parse_fraction(high)))
    return found


def _total(totals: Mapping[ArmKey, Counts], route: str, variant: str) -> Counts:
    # Keys outside of the layer get the control variant, too, and take no part: their arm is called stable.
    total = NOTHING
    for key, counts in totals.items():
        if key.route == route and key.variant == variant and key.role == "variant":
            total += counts
    return total


def _since(experiment: Experiment, name: str, totals: Mapping[ArmKey, Counts]) -> Counts:
    """What a variant has counted since the experiment began."""
    began = experiment.began.get(name)
    total = _total(totals, experiment.route, name)
    return total if not began else total.since(_marked(began))


def _marks(counts: Counts) -> dict[str, int]:
    """Filled cells by their place: enough to subtract them later."""
    return {str(place): int(cell) for place, cell in enumerate(counts.cells) if cell}


def _marked(marks: Mapping[str, int]) -> Counts:
    cells = NOTHING.cells.copy()
    for place, cell in marks.items():
        if int(place) < len(cells):
            cells[int(place)] = cell
    return Counts(cells=cells)


def _arm(name: str, experiment: Experiment, counts: Counts) -> Arm:
    mine = experiment.comparisons.get(name)
    # Control is in every comparison, and all of them take it in together.
    place, comparison = (
        (1, next(iter(experiment.comparisons.values()), Comparison())) if mine is None else (0, mine)
    )
    answers = int(counts.total.sum())
    return Arm(
        name=name,
        requests=comparison.n[place],
        failures=comparison.failures.x[place],
        mean_latency=counts.scalar("sum_total_us") / 1e6 / answers if answers else None,
        counts=arm_counts(counts),
    )
