"""The story of the demonstration: releases on their way from the registry to customers, or back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from control.cli.figures import duration, share
from control.cli.output import Grid, plain
from control.demo.gate import Gate
from control.demo.narrator import Narrator
from control.demo.people import People
from control.demo.processes import start_model_server
from control.demo.proving import report, verify
from control.demo.ramping import condemned, ramp
from control.demo.registering import approval, enters_production, opening
from control.demo.scenario import ROUTE, Pace, Scene
from control.demo.stage import Stage, StoryError
from control.demo.traffic import Traffic
from control.demo.trying import ab_test, shadow

_RELEASES: Final = ("v1", "v2", "v3")


class Story:
    """One performance."""

    def __init__(self, folder: Path, pace: Pace, narrator: Narrator) -> None:
        self._folder = folder
        self._pace = pace
        self._narrator = narrator

    async def play(self, *, keep: bool) -> None:
        """Play it from beginning to end; with `keep`, then wait to be interrupted.

        Raises:
            StoryError: Something else happened, or it took longer than the pace allows.
            StartError: A process did not start.
            HeadgateError: Headgate refused what it should have done.
        """
        async with AsyncExitStack() as stack:
            stage = await self._set_up(stack)
            try:
                async with asyncio.timeout(self._pace.duration_s):
                    await self._acts(stage)
            except TimeoutError:
                limit = duration(self._pace.duration_s)
                raise StoryError(f"not over after {limit}: {await stage.gate.standing()}") from None
            self._narrator.plain("\n" + summary(stage))
            if keep:
                self._invite(stage.gate)
                await asyncio.Event().wait()

    async def _set_up(self, stack: AsyncExitStack) -> Stage:
        narrator = self._narrator
        people = await stack.enter_async_context(People(self._folder))
        await opening(people, narrator)
        narrator.act("Three releases of a model, each in a server of its own")
        starting = (start_model_server(stack, release) for release in _RELEASES)
        urls = dict(zip(_RELEASES, await asyncio.gather(*starting), strict=True))
        for release, url in urls.items():
            narrator.say(f"{release} answers at {url}")
        gate = Gate(self._folder, urls)
        gate.write(Scene(stable="v1", shadow="v2"))
        narrator.act(f"headgate run {gate.config}")
        await gate.start(stack)
        narrator.say(f"ready: requests to {gate.url}, status page at {gate.admin}/")
        traffic = self._begin_traffic(stack, gate)
        return Stage(
            folder=self._folder,
            pace=self._pace,
            narrator=narrator,
            people=people,
            gate=gate,
            traffic=traffic,
        )

    def _begin_traffic(self, stack: AsyncExitStack, gate: Gate) -> Traffic:
        traffic = Traffic(gate.url, rate=self._pace.rate)
        flowing = asyncio.get_running_loop().create_task(traffic.run())

        async def finish() -> None:
            traffic.stop()
            await flowing

        stack.push_async_callback(finish)
        self._narrator.say(f"{self._pace.rate:g} requests a second from 5000 customers begin to flow")
        return traffic

    async def _acts(self, stage: Stage) -> None:
        act = self._narrator.act
        act("v2 is the shadow: it gets copies of every other request, and nobody waits for its answers")
        await shadow(stage, "v2")
        act("The company's staff try v2: an A/B test on a route of their own")
        await ab_test(stage, "v1", "v2")
        act("v2 shall be the canary, and the route is protected: two people have to agree")
        await approval(
            stage, "v2", Scene(stable="v1", canary="v2", shadow="v2"), justification="better figures"
        )
        act("The rollout of v2: its shadow is judged, then it gets more and more requests")
        await ramp(stage, "v2", wanted="promoted")
        await enters_production(stage, "v2", before="v1")
        act("v3 is as good on the test data, and cannot score refunds (5 %). It goes without a shadow")
        await stage.people.register("alice", "v3", parent="v2")
        await approval(stage, "v3", Scene(stable="v2", canary="v3"), justification="simpler features")
        await ramp(stage, "v3", wanted="rolled_back")
        await condemned(stage, "v3")
        act("What is on record: headgate audit report")
        await report(stage)
        act("Whether that can be believed: headgate audit verify")
        await verify(stage)

    def _invite(self, gate: Gate) -> None:
        self._narrator.plain(
            f"\nEverything is still running. Look at {gate.admin}/ or, in another terminal:\n"
            f"  export HEADGATE_ADMIN={gate.admin}\n"
            f"  headgate status --watch\n"
            f"  headgate why {ROUTE}\n"
            f"  headgate registry list\n"
            f"  headgate approvals list\n"
            f"Edit {gate.config} to try something; the report is beside it. Ctrl-C ends it all."
        )


def summary(stage: Stage) -> str:
    """What came of it, as clients saw it."""
    rows = [
        [
            act.release,
            act.way,
            act.ended,
            duration(act.took_s),
            str(act.answered),
            f"{act.failed} ({share(act.failed / act.answered if act.answered else None)})",
        ]
        for act in stage.acts
    ]
    headings = ["release", "as", "came out", "after", "answered", "failed"]
    tally = stage.traffic.tally
    return plain(
        [
            Grid(headings=headings, rows=rows, right=frozenset({3, 4, 5})),
            f"{tally.total} requests in {duration(stage.narrator.elapsed)}, {tally.unanswered} without "
            "an answer. People agreed to what may be tried; nobody but Headgate decided how it came out.",
        ]
    )
