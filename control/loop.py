"""The tick: look at the counts, judge every rollout that is due, decide, write, publish."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from control.audit.events import CONTROLLER
from control.change import Change
from control.controller import Controller
from control.counts import ArmKey
from control.deployments.service import Deployments
from control.experiments.service import Experiments
from control.judge import Judged, paired
from control.looks import SHORTEST_SECONDS, Looks
from control.plans.conditions import Outside
from control.recent import Window
from control.rollout.commands import take_back
from control.rollout.machine import DecisionKind, State, advance, alarm
from control.rollout.records import Record, parse_stage
from control.shadows.events import gate_events
from control.trouble import Trouble
from control.webhooks.gatekeeper import Gatekeeper
from control.webhooks.questions import question

log: Final = logging.getLogger("headgate.control")

TICK_SECONDS: Final = 1.0
# Evidence is some hundred kilobytes; of more rollouts than this each is written down every few seconds.
_KEPT_A_TICK: Final = 20
# Counts that no rollout depends on are written down this often; a boot that lives sends them again anyway.
_SAVE_SECONDS: Final = 30.0
_FORGET_SECONDS: Final = 60.0


class Loop:
    """Ticks until it is stopped. A tick that fails changes nothing, is counted, and the next one goes on."""

    def __init__(
        self,
        controller: Controller,
        *,
        tick_seconds: float = TICK_SECONDS,
        gatekeeper: Gatekeeper | None = None,
    ) -> None:
        self._controller = controller
        self._ledger = controller.ledger
        self._clock = controller.clock
        self.tick_seconds = tick_seconds
        self.window = Window()
        self.ticks = 0
        self._failures = 0
        self.trouble = Trouble(
            log, "ticks fail, so nothing is decided", "look into the log of the control process"
        )
        self.seconds_total = 0.0
        self.last_seconds = 0.0
        self.overdue = 0
        """Ticks that took longer than the time between two of them."""
        self.looks = Looks()
        self.gatekeeper = gatekeeper or Gatekeeper()
        self.deployments = Deployments(controller, self.window)
        self.experiments = Experiments(controller)
        self._watch_saved: dict[str, float] = {}
        self._kept: dict[str, float] = {}
        self._save_at = 0.0
        self._forget_at = 0.0

    @property
    def failures(self) -> int:
        """Ticks, and looks at single rollouts, that failed."""
        return self._failures + self.looks.failures

    @property
    def problems(self) -> Mapping[str, str]:
        """By route, why its rollout could not be judged at the last look."""
        return self.looks.problems

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until *stop* is set."""
        while not stop.is_set():
            await self.guarded_tick()
            try:
                async with asyncio.timeout(self._pause()):
                    await stop.wait()
            except TimeoutError:
                continue

    async def guarded_tick(self) -> None:
        """One tick, whatever happens in it."""
        began = time.perf_counter()
        try:
            await self._controller.follower.follow()
            await self.tick()
        except Exception as error:
            self._failures += 1
            self.trouble.failed(error)
        else:
            self.trouble.worked()
        self.last_seconds = time.perf_counter() - began
        self.seconds_total += self.last_seconds
        self.overdue += self.last_seconds > self._pause()
        self.ticks += 1

    async def tick(self) -> None:
        """Judge what is due and put all that follows into one transaction."""
        ledger = self._ledger
        async with ledger.lock:
            await ledger.fresh()
            now = self._clock.steady()
            due = self.looks.take_due(ledger.records, now)
            ids = {record.rollout.id for record in ledger.records.values() if not record.rollout.finished}
            self._kept = {key: at for key, at in self._kept.items() if key in ids}
        totals = ledger.collector.totals()
        self.window.sample(now, totals)
        # Off the event loop: watchers and commands do not wait for the arithmetic.
        pairs = {record.rollout.route: ledger.shadow_pairs(record) for record in due if paired(record.plan)}
        looked = await asyncio.to_thread(self.looks.look, due, totals, now, pairs)
        async with ledger.lock:
            await ledger.fresh()
            change = self._controller.change(CONTROLLER)
            records = dict(ledger.records)
            asked: list[tuple[Record, tuple[str, ...]]] = []
            for record, _, judged in looked:
                # A command or a configuration may have come first; it wins, and the next tick looks again.
                if ledger.records.get(record.rollout.route) is record:
                    records[record.rollout.route] = self._decide(change, record, judged, asked)
            change.events += ledger.standing.traffic_events(ledger.collector)
            if ledger.active is not None:
                change.events += ledger.standing.freeze_events(ledger.active.base, change.wall)
            self._collect_counts(change, now)
            await ledger.commit(change, records)
            self.looks.note(looked, records)
        for decided in change.decided:
            route, state = decided.decision.route, decided.record.rollout.state.name.lower()
            log.info("%s: %s, because %s", route, state, decided.decision.reason)
        self._ask(asked, now)
        await self.deployments.tend()
        await self.experiments.tend()

    def outside(self, record: Record) -> Outside:
        """What *record* needs to know besides its evidence."""
        deployment = self._ledger.deployments.get(record.rollout.route)
        return Outside(
            wall=self._clock.wall(),
            replies=self.gatekeeper.replies(record),
            shadow=self._ledger.shadow_finding(record),
            ailing="" if deployment is None or deployment.rollout != record.rollout.id else deployment.ailing,
        )

    async def close(self) -> None:
        """Give up what is under way outside: questions and probes."""
        await self.gatekeeper.close()
        await self.deployments.close()

    async def save(self) -> None:
        """Write down every count that is not; for the end of the process."""
        async with self._ledger.lock:
            await self._ledger.fresh()
            change = self._controller.change(CONTROLLER)
            change.counts = self._ledger.collector.unsaved()
            change.shadows = self._ledger.shadows.unsaved()
            await self._ledger.commit(change, self._ledger.records)

    def _decide(
        self,
        change: Change,
        record: Record,
        judged: Judged | None,
        asked: list[tuple[Record, tuple[str, ...]]],
    ) -> Record:
        ledger = self._ledger
        seen = record if judged is None else judged.record
        if ledger.active is None or (record.subject in ledger.quarantine and not record.judged):
            # Without a configuration no table can follow; a quarantined release does not start by itself.
            return seen
        if judged is not None and judged.analysis is None:
            # Nothing is decided on an analysis that is not of this moment.
            if judged.fresh:
                self._keep(change, seen)
            return seen
        if seen.rollout.state is State.PROMOTED:
            return self._watch(change, seen, judged)
        moved = advance(seen.rollout, seen.plan, seen.analysis, change.steady, self.outside(seen))
        if moved.ask:
            asked.append((seen, moved.ask))
        after = replace(seen, rollout=moved.rollout) if moved.rollout is not seen.rollout else seen
        if moved.decision is not None:
            change.events += gate_events(seen, moved.decision, self.outside(seen).shadow)
            change.decide(moved.decision, after)
        elif after.rollout != record.rollout:
            change.keep(after)
        elif judged is not None and judged.fresh:
            self._keep(change, after)
        return after

    def _keep(self, change: Change, record: Record) -> None:
        """Write down what has been taken in, of many rollouts by turns.

        Evidence that is older than the counts beside it takes in more at once after a restart, no more.
        """
        last, pause = self._kept.get(record.rollout.id, 0.0), len(self._kept) / _KEPT_A_TICK - 1.0
        if len(change.records) < 2 * _KEPT_A_TICK and change.steady - last >= pause:
            self._kept[record.rollout.id] = change.steady
            change.keep(record)

    def _watch(self, change: Change, record: Record, judged: Judged | None) -> Record:
        """Look after a canary that was promoted: alarm or take it back when it gets worse."""
        if judged is None or record.analysis is None:
            return record
        moved = alarm(record.rollout, record.plan, record.analysis, change.steady)
        if moved.decision is None:
            # A day of watching is not worth a write a second: less is known after a restart, never wrongly.
            saved = self._watch_saved.get(record.rollout.id, 0.0)
            if judged.fresh and change.steady - saved >= _SAVE_SECONDS:
                self._watch_saved = {record.rollout.id: change.steady} | {
                    key: at for key, at in self._watch_saved.items() if change.steady - at < _FORGET_SECONDS
                }
                change.keep(record)
            return record
        log.warning("%s after its promotion: %s", record.rollout.route, moved.decision.reason)
        if moved.decision.kind is DecisionKind.ROLLED_BACK:
            return take_back(change, record, moved.decision.reason, record.analysis)
        after = replace(record, rollout=moved.rollout)
        change.decide(moved.decision, after)
        return after

    def _ask(self, asked: list[tuple[Record, tuple[str, ...]]], now: float) -> None:
        active = self._ledger.active
        if active is None or not asked:
            return
        routes = {route.name: route for route in active.config.routes}
        for record, names in asked:
            route = routes.get(record.rollout.route)
            if route is None or route.rollout is None:
                continue
            gates = {gate.name: gate for gate in route.rollout.webhooks or () if gate.name in names}
            self.gatekeeper.ask(record, gates, question(record), now)

    def _collect_counts(self, change: Change, now: float) -> None:
        collector = self._ledger.collector
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_SECONDS
            collector.forget_idle(now, keep=self._needed())
        if self._ledger.table is not None:
            self._ledger.shadows.follow(self._ledger.shadow_keys(), change.wall)
        # Evidence and the counts it was made from are written together: a restart must not find them apart.
        if now >= self._save_at:
            self._save_at = now + _SAVE_SECONDS
            change.counts = collector.unsaved()
            change.shadows = self._ledger.shadows.unsaved()
        elif change.records:
            change.counts = collector.unsaved({record.rollout.route for record in change.records.values()})
            change.shadows = self._ledger.shadows.unsaved()

    def _needed(self) -> Callable[[ArmKey], bool]:
        running = {
            parse_stage(record.stage).rollout
            for record in self._ledger.records.values()
            if not record.rollout.finished
        }
        live, compared = self._ledger.live_stages, self._ledger.experiments
        # An experiment is counted from where its variants were when it began, also of earlier stages, and
        # while it is paused.
        return lambda key: (
            key.stage in live
            or parse_stage(key.stage).rollout in running
            or (key.role == "variant" and key.route in compared)
        )

    def _pause(self) -> float:
        intervals = [
            record.plan.interval_s for record in self._ledger.records.values() if not record.rollout.finished
        ]
        return max(SHORTEST_SECONDS, min([self.tick_seconds, *intervals]))
