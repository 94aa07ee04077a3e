"""The acts in which a canary gets customers' requests: Headgate alone decides how many, and until when."""

from __future__ import annotations

from typing import Any, Final

from control.demo.scenario import ROUTE
from control.demo.server import MODEL
from control.demo.stage import Stage, StoryError

_ENDS: Final = ("promoted", "rolled_back", "aborted", "expired")


async def ramp(stage: Stage, canary: str, *, wanted: str) -> None:
    """Tell the decisions about one canary until its rollout ends.

    Raises:
        StoryError: it ended in another way than *wanted*.
    """
    finished = stage.began(canary, "canary")
    told: set[str] = set()

    async def end() -> str | None:
        found = None
        for decision in await stage.gate.decisions():
            if decision["canary"] == canary and decision["id"] not in told:
                told.add(decision["id"])
                stage.narrator.decision(decision)
                found = decision["kind"] if decision["kind"] in _ENDS else found
        return found

    ended = await stage.until(end)
    finished(ended.replace("_", " "))
    if ended != wanted:
        raise StoryError(f"{canary} was {ended}, and {wanted} was expected")


async def condemned(stage: Stage, version: str) -> None:
    """What was rolled back is quarantined: no configuration brings it back, and the registry puts it away.

    Raises:
        StoryError: it is not.
    """
    label = f"{MODEL}:{version}"
    rows: list[dict[str, Any]] = await stage.gate.quarantine()
    if not any(row["release"] == label for row in rows):
        raise StoryError(f"{label} was rolled back and is not quarantined")
    status, answer = await stage.gate.post(f"/v1/rollouts/{ROUTE}/restart")
    if status < 400:
        raise StoryError(f"{label} is quarantined and was started again")
    stage.narrator.say(
        f"{label} is quarantined: an order to start it again is refused ({answer['error']['code']})"
    )
    await stage.people.do("alice", lambda registry: registry.archive(label, reason="rolled back"))
    compared = await stage.people.compare("v2", version)
    offline = {each["metric"]: each["relative"] for each in compared["metrics"]}
    live = next(each for each in compared["live"] if each["release"] == label)
    stage.narrator.say(
        f"alice archives it; headgate registry compare has both sides: auc {offline['auc']:+.1%} beside v2, "
        f"and live {live['outcome'].replace('_', ' ')}"
    )
