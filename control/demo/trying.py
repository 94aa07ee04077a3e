"""The acts in which v2 is tried before a customer depends on it: as a shadow, and by the company's staff."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from control.cli.figures import share
from control.demo.scenario import ROUTE, STAFF_ROUTE
from control.demo.stage import Stage, StoryError
from control.library.ab_tests import ABTest, ABTestManager

_MARGIN: Final = 0.02
_DECIDED: Final = ("better", "worse", "equivalent", "invalid")


async def shadow(stage: Stage, version: str) -> None:
    """Copies of requests go to *version*; its answers are compared and go nowhere.

    Raises:
        StoryError: a client got one of them.
    """
    ended = stage.began(version, "shadow")

    async def compared() -> dict[str, Any] | None:
        found = await stage.gate.shadow(ROUTE, version)
        enough = found is not None and found["agreement"]["compared"] >= stage.pace.pairs
        return found if enough else None

    report = await stage.until(compared)
    agreement, ratio = report["agreement"], report["latency"]["ratio"]
    low, high = agreement["sequence"]
    stage.narrator.say(
        f"{share(agreement['rate'])} of {agreement['compared']} pairs of answers come to the same decision "
        f"({share(low)} to {share(high)}, at any look); its time is {ratio['median']:.2f} times v1's"
    )
    for path in report["differences"]["paths"][:2]:
        stage.narrator.say(f"they differ at {path['path']} ({path['kind']}) in {path['pairs']} pairs")
    act = ended("compared")
    if act.answered:
        raise StoryError(f"{act.answered} clients were answered by a shadow")
    stage.narrator.say(f"{version} has answered no client")


async def ab_test(stage: Stage, control: str, version: str) -> None:
    """The company's own people get one or the other until it is known whether one fails more.

    Raises:
        StoryError: *version* came out worse, or the comparison was broken.
    """
    ended = stage.began(version, "A/B test")
    tests = ABTestManager(stage.gate.admin)
    made = await asyncio.to_thread(
        tests.create,
        "v2-for-staff",
        route=STAFF_ROUTE,
        variants={control: 50, version: 50},
        key=["header:x-user-id"],
        margin=_MARGIN,
    )
    await asyncio.to_thread(tests.start, made.id)
    stage.narrator.say(
        f"ABTestManager: {control} and {version} get half of staff each, until their failure rates are known "
        f"to differ, or to differ by less than {share(_MARGIN)}"
    )

    async def decided() -> ABTest | None:
        found = await asyncio.to_thread(tests.get, made.id)
        return found if _verdict(found) in _DECIDED else None

    found = await stage.until(decided)
    verdict = _verdict(found)
    assert found.analysis is not None
    stage.narrator.say(f"{verdict.upper()}  {found.analysis['reason']}")
    await asyncio.to_thread(tests.complete, made.id, reason=f"{version} is {verdict}")
    ended(verdict)
    if verdict not in ("better", "equivalent"):
        raise StoryError(f"{version} came out {verdict}")


def _verdict(test: ABTest) -> str:
    treatments = () if test.analysis is None else test.analysis["treatments"]
    return str(treatments[0]["verdict"]) if treatments else "no_data"
