"""Which rollouts are looked at in a tick: who is due, and what is put off so that no tick starves the next.

All rollouts that are due are taken in together, the longest due first. What does not fit into the time of a
tick is left for the next one, where it comes first. The same goes for analyses: whoever may have to be rolled
back is analysed at once, the others when there is time, the longest unseen first.
"""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from control.counts import ArmKey, Counts
from control.judge import Case, Judged, StageCounts, by_route, judged, stages_of, take_in
from control.judgement.analysis import urgent
from control.judgement.evidence import Evidence
from control.rollout.records import Record

log: Final = logging.getLogger("headgate.control")

# So many rollouts are taken in together: more of them are hardly quicker, and time is looked at in between.
TOGETHER: Final = 128
# What a tick may spend on counts, and on analyses that can wait. The first ones are done whatever they take.
COUNTING_SECONDS: Final = 0.6
ANALYSING_SECONDS: Final = 0.2
ANALYSES_LEAST: Final = 16
SHORTEST_SECONDS: Final = 0.05

Looked = tuple[Record, Sequence[StageCounts], Judged | None]
Pairs = Mapping[str, tuple[int, int]]
NO_PAIRS: Final[Mapping[str, Pairs]] = MappingProxyType({})


class Looks:
    """Remembers when each rollout was looked at, and at which counts."""

    def __init__(self) -> None:
        self.failures = 0
        self.postponed = 0
        """Looks that were due and had to wait for the next tick."""
        self.put_off = 0
        """Analyses that had to wait; the counts were taken in and would have rolled back."""
        self.problems: dict[str, str] = {}
        """By route, why its rollout could not be judged at the last look."""
        self._due: dict[str, float] = {}
        self._analysed: dict[str, float] = {}
        self._observed: dict[tuple[str, int], tuple[Counts, Counts]] = {}

    def take_due(self, records: Mapping[str, Record], now: float) -> list[Record]:
        """The rollouts that are due at *now* (steady seconds), the longest due first."""
        ids = {record.rollout.id for record in records.values()}
        self._due = {key: at for key, at in self._due.items() if key in ids}
        self._analysed = {key: at for key, at in self._analysed.items() if key in ids}
        self._observed = {key: seen for key, seen in self._observed.items() if key[0] in ids}
        judged = {route for route, record in records.items() if record.judged}
        self.problems = {route: text for route, text in self.problems.items() if route in judged}
        due: list[tuple[float, Record]] = []
        for record in records.values():
            at = self._due.get(record.rollout.id, now)
            if (record.rollout.finished and not record.watched(now)) or at > now + SHORTEST_SECONDS / 2:
                continue
            due.append((at, record))
        due.sort(key=lambda pair: pair[0])
        self._due |= {record.rollout.id: at for at, record in due}
        return [record for _, record in due]

    def look(
        self,
        due: Sequence[Record],
        totals: Mapping[ArmKey, Counts],
        now: float,
        pairs: Mapping[str, Pairs] = NO_PAIRS,
    ) -> list[Looked]:
        """Take in what has been counted, and analyse; a rollout that cannot be judged is left out.

        *pairs* are by route what the shadows of its canary have shown.
        """
        looked: list[Looked] = []
        cases: list[Case] = []
        counted = by_route(totals)
        for record in due:
            if not record.judged and not record.watched(now):
                looked.append((record, [], None))
                continue
            route = record.rollout.route
            case = self._case(record, counted.get(route, {}), pairs.get(route, {}))
            if case is not None:
                cases.append(case)
        began = time.perf_counter()
        taken: list[tuple[Case, Evidence]] = []
        while cases:
            taken += self._take_in(cases[:TOGETHER], now)
            cases = cases[TOGETHER:]
            if time.perf_counter() - began > COUNTING_SECONDS:
                break
        self.postponed += len(cases)
        waiting = {case.record.rollout.id for case in cases}
        for record in due:
            if record.rollout.id not in waiting:
                self._next(record, now)
        looked += self._analyse(taken, now)
        return looked

    def note(self, looked: Sequence[Looked], records: Mapping[str, Record]) -> None:
        """Remember what was taken in, once it is in force."""
        for record, stages, found in looked:
            after = records.get(record.rollout.route)
            if found is None or after is None or after.evidence is not found.evidence:
                continue
            for stage in stages:
                self._observed[record.rollout.id, stage.stage.number] = (stage.canary, stage.control)

    def _next(self, record: Record, now: float) -> None:
        # The detector after a promotion counts ticks of a second.
        interval = record.plan.interval_s if record.judged else max(1.0, record.plan.interval_s)
        # From the time it was due, so that lateness does not add up; after a gap, from now.
        at = self._due.get(record.rollout.id, now)
        self._due[record.rollout.id] = max(at + interval, now + interval / 2)

    def _case(self, record: Record, totals: Mapping[ArmKey, Counts], pairs: Pairs) -> Case | None:
        try:
            stages = stages_of(record, totals)
        except Exception as error:
            self._failed(record, error)
            return None
        changed = {stage.stage for stage in stages if self._changed(record, stage)}
        return Case(record=record, stages=stages, changed=changed, pairs=pairs)

    def _changed(self, record: Record, stage: StageCounts) -> bool:
        seen = self._observed.get((record.rollout.id, stage.stage.number))
        return seen is None or seen[0] is not stage.canary or seen[1] is not stage.control

    def _take_in(self, cases: Sequence[Case], now: float) -> list[tuple[Case, Evidence]]:
        try:
            return list(zip(cases, take_in(cases, now), strict=True))
        except Exception as error:
            if len(cases) == 1:
                self._failed(cases[0].record, error)
                return []
        # One of them is at fault; the others must not wait for it.
        return [pair for case in cases for pair in self._take_in([case], now)]

    def _analyse(self, taken: Sequence[tuple[Case, Evidence]], now: float) -> list[Looked]:
        looked: list[Looked] = []
        pressing: list[tuple[Case, Evidence]] = []
        others: list[tuple[Case, Evidence]] = []
        for case, evidence in taken:
            record = case.record
            wanted = record.judged and urgent(evidence, record.plan, now, step=record.rollout.step)
            (pressing if wanted else others).append((case, evidence))
        others.sort(key=lambda pair: self._analysed.get(pair[0].record.rollout.id, -math.inf))
        began, done = time.perf_counter(), 0
        for case, evidence in (*pressing, *others):
            record = case.record
            late = done >= len(pressing) + ANALYSES_LEAST
            if late and time.perf_counter() - began > ANALYSING_SECONDS:
                self.put_off += 1
                waiting = Judged(before=record, evidence=evidence, analysis=None, fresh=bool(case.changed))
                looked.append((record, case.stages, waiting))
                continue
            done += 1
            try:
                found = judged(case, evidence, now)
            except Exception as error:
                self._failed(record, error)
                continue
            self._analysed[record.rollout.id] = now
            self.problems.pop(record.rollout.route, None)
            looked.append((record, case.stages, found))
        return looked

    def _failed(self, record: Record, error: Exception) -> None:
        route = record.rollout.route
        self.failures += 1
        self.problems[route] = f"{type(error).__name__}: {error}"
        log.error(
            "the rollout of %s could not be judged; it stays where it is",
            route,
            exc_info=(type(error), error, error.__traceback__),
        )
