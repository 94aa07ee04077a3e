"""The story of the demonstration: a good release is promoted by evidence, a bad one rolled back."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from control.cli.figures import duration, share
from control.cli.output import Grid, plain
from control.demo.gate import Gate
from control.demo.narrator import Narrator
from control.demo.processes import start_model_server
from control.demo.scenario import ROUTE, Pace
from control.demo.traffic import Traffic

_LOOK_S = 0.2
_RELEASES = ("v1", "v2", "v3")
_ENDS = ("promoted", "rolled_back", "aborted", "expired")


class StoryError(Exception):
    """The story did not happen as it should; the text says what did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How one canary came out, and what clients saw of it until then."""

    stable: str
    canary: str
    ended: str
    took_s: float
    answered: int
    failed: int


class Story:
    """One performance. `acts` grows as it goes on."""

    def __init__(self, folder: Path, pace: Pace, narrator: Narrator) -> None:
        self.acts: list[Act] = []
        self._folder = folder
        self._pace = pace
        self._narrator = narrator

    async def play(self, *, keep: bool) -> None:
        """Play it from beginning to end; with `keep`, then wait to be interrupted.

        Raises:
            StoryError: Something else happened, or it took longer than the pace allows.
            StartError: A process did not start.
        """
        async with AsyncExitStack() as stack:
            gate = await self._set_up(stack)
            traffic = self._begin_traffic(stack, gate)
            try:
                async with asyncio.timeout(self._pace.duration_s):
                    await self._two_acts(gate, traffic)
            except TimeoutError:
                limit = duration(self._pace.duration_s)
                raise StoryError(f"not over after {limit}: {await gate.standing()}") from None
            self._narrator.plain("\n" + self.summary(traffic))
            if keep:
                self._invite(gate)
                await asyncio.Event().wait()

    async def _set_up(self, stack: AsyncExitStack) -> Gate:
        narrator = self._narrator
        narrator.act("Three releases of a model, each in a server of its own")
        starting = (start_model_server(stack, release) for release in _RELEASES)
        urls = dict(zip(_RELEASES, await asyncio.gather(*starting), strict=True))
        for release, url in urls.items():
            narrator.say(f"{release} answers at {url}")
        gate = Gate(self._folder, urls)
        gate.write(stable="v1", canary="v2")
        narrator.act(f"headgate run {gate.config}")
        await gate.start(stack)
        narrator.say(f"ready: requests to {gate.url}, status page at {gate.admin}/")
        return gate

    def _begin_traffic(self, stack: AsyncExitStack, gate: Gate) -> Traffic:
        traffic = Traffic(gate.url, rate=self._pace.rate)
        flowing = asyncio.get_running_loop().create_task(traffic.run())

        async def finish() -> None:
            traffic.stop()
            await flowing

        stack.push_async_callback(finish)
        self._narrator.say(f"{self._pace.rate:g} requests a second from 5000 customers begin to flow")
        return traffic

    async def _two_acts(self, gate: Gate, traffic: Traffic) -> None:
        self._narrator.act("v1 is stable, v2 the canary. v2 is a better model, and nothing is wrong with it")
        await self._act(gate, traffic, stable="v1", canary="v2", wanted="promoted")
        self._narrator.act("The file is edited: v2 is stable, v3 the canary. v3 cannot score refunds (5 %)")
        gate.write(stable="v2", canary="v3")
        await self._act(gate, traffic, stable="v2", canary="v3", wanted="rolled_back")

    async def _act(self, gate: Gate, traffic: Traffic, *, stable: str, canary: str, wanted: str) -> None:
        """Tell the decisions about one canary until its rollout ends, which must be as `wanted`."""
        began = self._narrator.elapsed
        told: set[str] = set()
        ended = ""
        while not ended:
            if not gate.running:
                raise StoryError(f"headgate ended\n{gate.last_words()}")
            for decision in await gate.decisions():
                if decision["canary"] == canary and decision["id"] not in told:
                    told.add(decision["id"])
                    self._narrator.decision(decision)
                    ended = decision["kind"] if decision["kind"] in _ENDS else ""
            await asyncio.sleep(_LOOK_S)
        if ended != wanted:
            raise StoryError(f"{canary} was {ended}, and {wanted} was expected")
        answered, failed = traffic.tally.variant(canary)
        took = self._narrator.elapsed - began
        self.acts.append(
            Act(stable=stable, canary=canary, ended=ended, took_s=took, answered=answered, failed=failed)
        )

    def summary(self, traffic: Traffic) -> str:
        """What came of it, as clients saw it."""
        rows = [
            [
                act.canary,
                act.stable,
                act.ended.replace("_", " "),
                duration(act.took_s),
                str(act.answered),
                f"{act.failed} ({share(act.failed / act.answered if act.answered else None)})",
            ]
            for act in self.acts
        ]
        headings = ["canary", "against", "came out", "after", "answered", "failed"]
        tally = traffic.tally
        return plain(
            [
                Grid(headings=headings, rows=rows, right=frozenset({3, 4, 5})),
                f"{tally.total} requests in {duration(self._narrator.elapsed)}, {tally.unanswered} without "
                "an answer. Nobody but Headgate made a decision.",
            ]
        )

    def _invite(self, gate: Gate) -> None:
        self._narrator.plain(
            f"\nEverything is still running. Look at {gate.admin}/ or, in another terminal:\n"
            f"  export HEADGATE_ADMIN={gate.admin}\n"
            f"  headgate status --watch\n"
            f"  headgate why {ROUTE}\n"
            f"Edit {gate.config} to try something. Ctrl-C ends it all."
        )
