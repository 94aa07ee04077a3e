"""Aliases: what they stand for, who may move them, the way back."""

import pytest

from control.errors import ConflictError, InvalidError, NotApprovedError, NotFoundError, TransitionError
from tests.helpers.registry import Bench, People, draft, in_production

PROTECTED = {
    "upstreams": {"live": {"release": "fraud@champion"}},
    "routes": [{"name": "fraud", "upstream": "live", "protected": "production"}],
}


async def test_an_alias_is_moved_and_taken_back(shelf: Bench, people: People) -> None:
    """Each step is kept and told."""
    for version in ("1.0.0", "2.0.0"):
        await shelf.registry.register(draft(version), people.alice)

    await shelf.aliases.move("fraud", "champion", "1.0.0", people.alice)
    await shelf.aliases.move("fraud", "champion", "v2", people.bob, reason="better")
    assert (await shelf.registry.get("fraud@champion")).release.version == "2.0.0"
    assert (await shelf.registry.get("fraud:2.0.0")).aliases == ["champion"]

    assert (await shelf.aliases.revert("fraud", "champion", people.carol)).version == "1.0.0"
    steps = await shelf.aliases.history("fraud", "champion")
    assert [(step["from"], step["to"], step["actor"]) for step in steps] == [
        (None, "fraud:1.0.0", "alice"),
        ("fraud:1.0.0", "fraud:2.0.0", "bob"),
        ("fraud:2.0.0", "fraud:1.0.0", "carol"),
    ]
    assert [event[0] for event in await shelf.told()].count("alias_moved") == 3


async def test_moving_to_the_same_release_changes_nothing(shelf: Bench, people: People) -> None:
    """No step, no event."""
    await shelf.registry.register(draft(), people.alice)
    await shelf.aliases.move("fraud", "champion", "1.0.0", people.alice)
    await shelf.aliases.move("fraud", "champion", "1.0.0", people.alice)

    assert len(await shelf.aliases.history("fraud", "champion")) == 1
    with pytest.raises(TransitionError, match="has stood for nothing else"):
        await shelf.aliases.revert("fraud", "champion", people.alice)


async def test_an_alias_can_be_removed(shelf: Bench, people: People) -> None:
    """After that it names nothing, and its past stays."""
    await shelf.registry.register(draft(), people.alice)
    await shelf.aliases.move("fraud", "champion", "1.0.0", people.alice)

    await shelf.aliases.remove("fraud", "champion", people.alice)

    assert await shelf.aliases.all("fraud") == []
    assert len(await shelf.aliases.history("fraud", "champion")) == 2
    with pytest.raises(NotFoundError):
        await shelf.aliases.remove("fraud", "champion", people.alice)


async def test_what_cannot_be_an_alias_is_refused(shelf: Bench, people: People) -> None:
    """A stage's own alias follows the stage, and `latest` the versions."""
    await in_production(shelf, "1.0.0", people)

    with pytest.raises(ConflictError, match="always names the release in production; promote"):
        await shelf.aliases.move("fraud", "prod", "1.0.0", people.alice)
    with pytest.raises(InvalidError, match="latest"):
        await shelf.aliases.move("fraud", "latest", "1.0.0", people.alice)
    with pytest.raises(InvalidError, match="alias"):
        await shelf.aliases.move("fraud", "a/b", "1.0.0", people.alice)
    with pytest.raises(NotFoundError, match=r"fraud:9\.9\.9"):
        await shelf.aliases.move("fraud", "champion", "9.9.9", people.alice)


async def test_an_alias_of_a_protected_route_moves_only_to_what_is_approved(
    shelf: Bench, people: People
) -> None:
    """The move is refused where it would move traffic; with approval it is not."""
    await shelf.configure(PROTECTED)
    await in_production(shelf, "1.0.0", people)
    await shelf.registry.register(draft("2.0.0"), people.alice)
    await shelf.aliases.move("fraud", "champion", "1.0.0", people.alice)

    with pytest.raises(NotApprovedError, match=r"protected for production.*fraud:2\.0\.0 is not approved"):
        await shelf.aliases.move("fraud", "champion", "2.0.0", people.alice)

    asked = await shelf.approvals.request("fraud:2.0.0", "production", people.alice, justification="new")
    await shelf.approvals.vote(asked.id, people.bob, approves=True)
    await shelf.aliases.move("fraud", "champion", "2.0.0", people.alice)
    # And back without anybody.
    assert (await shelf.aliases.revert("fraud", "champion", people.alice)).version == "1.0.0"
