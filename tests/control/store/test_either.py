"""A whole rollout on each database, over restarts: the control plane does not know which one it has."""

from control.collect import Collector
from control.controller import Controller
from control.ledger import Ledger
from control.loop import Loop
from control.plane import Plane
from control.publish import Publisher
from control.reports import parse_report
from control.rollout.commands import Verb
from control.rollout.machine import State
from control.store import audit
from control.store.engine import open_store
from tests.helpers.control import ALICE, FakeClock, Proxies, configuration, configure, run


async def test_a_rollout_is_rolled_back_restarted_and_counted(database_url: str) -> None:
    """Decided in one life, remembered in the next, begun again in the third."""
    clock, proxies = FakeClock(), Proxies(failing={"v2": 0.3})
    states = []
    for life in range(3):
        store = await open_store(database_url)
        controller = Controller(Ledger(store, Collector(), Publisher()), clock)
        await controller.start()
        plane = Plane(controller=controller, loop=Loop(controller), started_at=0.0, version="test")
        await configure(plane, configuration(rollout={"preset": "aggressive"}))
        if life == 2:
            await controller.command("fraud", Verb.RESTART, "fixed", ALICE)
        await run(plane, clock, proxies, seconds=2 if life else 60, stop="rolled_back")
        states.append(plane.ledger.records["fraud"].rollout.state)
        total = sum(counts.finished for counts in plane.ledger.collector.totals().values())
        assert total == proxies.counted("v1") + proxies.counted("v2")
        await controller.take(parse_report(proxies.report(final=life == 2)))
        async with store.read() as connection:
            assert await audit.size(connection) == await audit.count(connection)
        await store.close()

    assert states == [State.ROLLED_BACK, State.ROLLED_BACK, State.PROGRESSING]
