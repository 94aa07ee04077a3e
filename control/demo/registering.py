"""The acts in which people register releases and agree about them; the router has to take their word."""

from __future__ import annotations

from control.cli.releases import comparison_blocks
from control.demo.narrator import Narrator
from control.demo.people import People
from control.demo.scenario import REVIEWERS, Scene
from control.demo.server import MODEL
from control.demo.stage import Stage, StoryError
from control.errors import ForbiddenError, NotApprovedError


async def opening(people: People, narrator: Narrator) -> None:
    """The registry before Headgate has ever run: v1 serves, v2 is meant to."""
    narrator.act("Releases are registered, with their artifacts; in Python, before any Headgate runs")
    figures = await people.register("alice", "v1")
    narrator.say(f"alice registers {MODEL}:v1, {_words(figures)}; staging")
    asked = await people.request("alice", "v1", justification="the first release")
    await people.approve("bob", asked.id, "there is nothing before it")
    aliases = await people.to_production("alice", "v1", "the first release")
    narrator.say(f"bob approves, alice promotes: {MODEL}@prod stands for {aliases['prod']}")
    figures = await people.register("alice", "v2", parent="v1")
    narrator.say(f"alice registers {MODEL}:v2, made from v1, {_words(figures)}; staging")
    narrator.block(comparison_blocks(await people.compare("v1", "v2")))


async def approval(stage: Stage, version: str, scene: Scene, *, justification: str) -> None:
    """A route that is protected refuses a release until two people other than the asker have agreed.

    Raises:
        StoryError: it was let in without them, or not let in with them.
    """
    narrator, people, gate = stage.narrator, stage.people, stage.gate
    gate.write(scene)
    refusal = await gate.reload()
    if not refusal:
        raise StoryError(f"{version} came into force and nobody had approved it")
    narrator.say(f"the file is edited, and refused: {refusal}")
    asked = await people.request("alice", version, justification=justification, config=gate.config)
    narrator.say(f"alice asks, for the plan of this file: {asked.id}, {asked.missing()}")
    try:
        await people.approve("alice", asked.id, "it is mine")
    except ForbiddenError as error:
        narrator.say(f"alice cannot approve it herself: {error.message}")
    else:
        raise StoryError("alice approved what she had asked for")
    for who, reason in zip(REVIEWERS, ("the figures are good", "the data are ours"), strict=False):
        try:
            await people.to_production("alice", version, "now?")
        except NotApprovedError:
            pass
        else:
            raise StoryError(f"{version} went to production without {who}")
        answer = await people.approve(who, asked.id, reason)
        narrator.say(f"{who} approves: {answer.missing() or 'approved'}")
    if refusal := await gate.reload():
        raise StoryError(f"two people have approved {version}, and it was refused: {refusal}")
    narrator.say("the same file is taken now")


async def enters_production(stage: Stage, version: str, before: str) -> None:
    """The registry hears of the promotion: the alias moves, and the release before stays to go back to.

    Raises:
        StoryError: it did not.
    """
    aliases = await stage.people.to_production("alice", version, "promoted by its rollout")
    if aliases.get("prod") != f"{MODEL}:{version}":
        raise StoryError(f"{MODEL}@prod stands for {aliases.get('prod')}")
    stage.narrator.say(
        f"alice promotes {MODEL}:{version} in the registry: {MODEL}@prod has moved, {MODEL}:{before} is kept"
    )


def _words(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
