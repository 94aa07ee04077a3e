"""Endpoints' own figures: read from what they serve, summed, and never zero where they are missing."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from control.deployments.resources import Resources, Scraper, figure_of
from tests.helpers.waiting import until

TEXT = """# HELP process_cpu_seconds_total Time spent.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
process_cpu_seconds_total_created 1.0
process_resident_memory_bytes{{pod="a b}}"}} 1.5e+08 1700000000
process_resident_memory_bytes{{pod="c"}} 5e+07
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 1\n", 1.0),
        ('a 1\na{x="}"} 2 3\n', 3.0),
        ("ab 1\n", None),
        ("", None),
        ("a NaN\n", None),
        ("a -1\n", None),
        ("a\n", None),
        ("a x\n", None),
    ],
)
def test_a_family_is_the_sum_of_its_samples(text: str, expected: float | None) -> None:
    assert figure_of(text, "a") == expected


async def test_endpoints_are_asked_and_their_figures_summed() -> None:
    """Cores come from two scrapes; an endpoint that says nothing useful is not counted."""
    cpu = {"value": 10.0}
    asked: list[str] = []

    async def metrics(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=TEXT.format(cpu=cpu["value"]))

    async def huge(_: web.Request) -> web.Response:
        return web.Response(text="process_cpu_seconds_total 1\n" * 60_000)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    other = web.Application()
    other.add_routes([web.get("/metrics", huge)])
    scraper = Scraper()
    async with TestServer(app) as server, TestServer(other) as silent:
        urls = [str(server.make_url("")).rstrip("/"), str(silent.make_url("")).rstrip("/")]

        def now(seconds: float) -> Resources | None:
            return scraper.resources(urls, "/metrics", interval_s=5.0, now=seconds)

        assert scraper.resources(urls, "", interval_s=5.0, now=0.0) is None
        assert now(0.0) == Resources()
        await until(lambda: now(1.0) == Resources(endpoints=1, memory_bytes=200_000_000), seconds=60)
        cpu["value"] = 13.0
        await until(lambda: (now(6.0) or Resources()).cpu_cores is not None, seconds=60)
        found = now(6.0)
        assert found is not None
        assert found.cpu_cores == pytest.approx(0.5)
        # Started again: what it has counted says nothing yet.
        cpu["value"] = 1.0
        await until(lambda: (now(12.0) or Resources(cpu_cores=1.0)).cpu_cores is None, seconds=60)
        # Too old to say something about now.
        assert now(100.0) == Resources()
        scraper.forget(urls)
        await scraper.close()
    assert set(asked) == {"/metrics"}
