"""The section on approvals: who asked, whose word is missing, and what went without anyone's."""

from pathlib import Path

from config.schema import Config
from control.audit.events import Origin
from control.plane import Plane
from control.registry.shelf import Shelf
from control.store.rollouts import Quarantine
from tests.control.dashboard.test_page import check
from tests.helpers.control import ALICE, FakeClock, config_body, configuration
from tests.helpers.control_server import Client, served
from tests.helpers.registry import draft

CONDEMNED = Quarantine(
    id="q-1",
    subject="digest",
    route="fraud",
    variant="v2",
    release="fraud:2.0.0",
    rollout_id="r-1",
    decision_id="d-1",
    reason="error rate",
    since=0.0,
)
BOB, CAROL = Origin(actor="bob"), Origin(actor="carol")
TWO = {
    "stages": {
        "staging": {"to": ["production", "archived"]},
        "production": {"to": ["archived"], "approval": {"quorum": 2, "reviewers": ["bob", "carol"]}},
        "archived": {},
    }
}


async def _ruled(plane: Plane, client: Client) -> Shelf:
    config = Config.from_json(configuration().to_json() | {"registry": TWO})
    await client.json("PUT", "/v1/config", config_body(config))
    return plane.controller.shelf


async def _section(client: Client) -> str:
    """The words of the section, from its heading to the next one; empty when there is none."""
    html, _ = await client.text("/")
    words = check(html).text
    return words.partition(" Approvals ")[2].partition(" Decisions ")[0]


async def test_a_request_says_who_asked_and_who_is_missing(tmp_path: Path) -> None:
    """Until it expires; without requests there is no section."""
    clock = FakeClock()
    async with served(tmp_path / "db", clock) as (plane, client):
        shelf = await _ruled(plane, client)
        nothing = await _section(client)
        await shelf.registry.register(draft("2.0.0"), ALICE)
        asked = await shelf.approvals.request(
            "fraud:2.0.0", "production", ALICE, justification="<b>AUC</b> 0.91"
        )
        pending = await _section(client)
        await shelf.approvals.vote(asked.id, BOB, approves=True)
        half = await _section(client)
        await shelf.approvals.vote(asked.id, CAROL, approves=True)
        granted = await _section(client)
        plane.ledger.quarantine["digest"] = CONDEMNED
        condemned = await _section(client)
        clock.now += asked.lasts
        expired = await _section(client)

    assert nothing == ""
    for words in (
        "fraud:2.0.0 production pending alice nobody yet (0 of 2) 0 of 2 approvals; it waits for bob, carol",
        "2023-11-21 22:13 UTC <b>AUC</b> 0.91 " + asked.id,
    ):
        assert words in pending
    assert "pending alice bob (1 of 2) 1 of 2 approvals; it waits for carol" in half
    assert "approved alice bob, carol (2 of 2) nobody; it can be promoted" in granted
    assert "(2 of 2) nobody, but it is quarantined at fraud" in condemned
    assert expired == ""


async def test_what_went_without_approval_stays_until_somebody_has_looked(tmp_path: Path) -> None:
    """The task names who broke the glass and why."""
    async with served(tmp_path / "db") as (plane, client):
        shelf = await _ruled(plane, client)
        await shelf.registry.register(draft("2.0.0"), ALICE)
        await shelf.registry.promote(
            "fraud:2.0.0", "production", BOB, break_glass=True, reason="stable is down"
        )
        left = await _section(client)
        (task,) = await shelf.tasks.all()
        await shelf.tasks.review(task["id"], CAROL, accept=True, reason="it was")
        done = await _section(client)

    assert f"fraud:2.0.0 production bob 2023-11-14 22:13 UTC stable is down {task['id']}" in left
    assert done == ""


async def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    """The page stays of a size to be read."""
    async with served(tmp_path / "db") as (plane, client):
        shelf = await _ruled(plane, client)
        for number in range(21):
            release = await shelf.registry.register(draft(f"{number}.0.0"), ALICE)
            await shelf.approvals.request(release.label, "production", ALICE, justification="x")
        shown = await _section(client)

    assert shown.count("it waits for") == 20
    assert "fraud:20.0.0" in shown
    assert "fraud:0.0.0" not in shown
    assert "There are more: headgate approvals list ." in shown
