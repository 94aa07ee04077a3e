"""Prometheus scrapes a running Headgate, and `promtool check metrics` has nothing to complain of."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.metrics import parse_openmetrics, samples
from tests.helpers.processes import model_servers, wait_until
from tests.real.front import Front, headgate_before
from tests.real.servers import free_ports, serving

pytestmark = pytest.mark.real

SCRAPE_SECONDS = 1
SEEN_SECONDS = 20.0
# What Prometheus asks with, in the order it prefers.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
ROLLOUT = {
    "split": {"kind": "canary", "key": ["header:x-user-id"], "stable": "v1", "canary": "v2"},
    "rollout": {"preset": "balanced", "steps": ["50%", "100%"], "duration": "1h"},
}


@pytest.fixture(scope="module", params=["run", "proxy"])
def front(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Front]:
    """Headgate with a rollout under way, and the data plane alone."""
    route = ROLLOUT if request.param == "run" else {"split": ROLLOUT["split"] | {"weight": "50%"}}
    folder = tmp_path_factory.mktemp("gate")
    with (
        model_servers("v1") as (server,),
        headgate_before(server, folder, command=request.param, route=route) as gate,
    ):
        yield gate


@pytest.fixture(scope="module")
def prometheus(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prometheus that scrapes it every second."""
    program = tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    configuration = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {
                "job_name": "headgate",
                "static_configs": [{"targets": [urllib.parse.urlsplit(front.admin).netloc]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (port,) = free_ports(1)
    command: list[str | Path] = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with serving(command, url=f"http://127.0.0.1:{port}", ready="/-/ready", cwd=folder) as server:
        yield server


def tool(name: str) -> str:
    """Return the path of a program of Debian's package, or skip."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus")
    return found


def send(front: Front, path: str, count: int) -> None:
    """Send requests to the model server through Headgate."""
    for number in range(count):
        request = urllib.request.Request(front.url + path, headers={"x-user-id": f"u{number}"})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as refused:
            refused.close()


def query(prometheus: str, expression: str) -> dict[str, float]:
    """Return what an instant query gives now, by the labels as JSON."""
    data = ask(prometheus, "query", query=expression)
    assert data["resultType"] == "vector"
    return {
        json.dumps(series["metric"], sort_keys=True): float(series["value"][1]) for series in data["result"]
    }


def ask(prometheus: str, what: str, **parameters: str) -> Any:
    """Return the data of an answer of Prometheus' API."""
    url = f"{prometheus}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        told = json.load(answer)
    assert told["status"] == "success"
    return told["data"]


def single(found: dict[str, float]) -> float | None:
    """Return the only value, None without one."""
    assert len(found) < 2
    return next(iter(found.values()), None)


def scrape(front: Front, accept: str) -> tuple[bytes, str]:
    """Return /metrics and its content type."""
    request = urllib.request.Request(f"{front.admin}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read(), answer.headers["content-type"]


def test_it_is_up(front: Front, prometheus: str) -> None:
    """Scrapes succeed, in the format that Prometheus likes best, and without a sample left out."""
    wait_until(lambda: single(query(prometheus, 'up{job="headgate"}')) == 1, SEEN_SECONDS, "up == 1")

    (target,) = ask(prometheus, "targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    _, content_type = scrape(front, ACCEPT)
    assert content_type.startswith("application/openmetrics-text")
    scraped = single(query(prometheus, "scrape_samples_scraped"))
    assert scraped == single(query(prometheus, "scrape_samples_post_metric_relabeling"))
    assert scraped == pytest.approx(len(samples(scrape(front, "text/plain")[0])), abs=20)
    assert single(query(prometheus, "scrape_duration_seconds < 0.5")) is not None


def test_requests_are_counted(front: Front, prometheus: str) -> None:
    """The sums are right, by outcome and by variant, and go on being right."""
    before = front.settled()
    for good, bad in ((30, 7), (12, 5)):
        send(front, "/v2/health/ready", good)
        send(front, "/v2/models/missing", bad)
        now = front.settled()
        assert now - before == {"ok": good, "upstream_4xx": bad}
        before = now

        def same(now: dict[str, int] = now) -> bool:
            found = query(prometheus, "sum by (outcome) (headgate_requests_total) > 0")
            return {json.loads(key)["outcome"]: value for key, value in found.items()} == now

        wait_until(same, SEEN_SECONDS, f"a sum of {now}")

    by_variant = query(prometheus, 'sum by (variant) (headgate_requests_total{route="all"})')
    assert {json.loads(key)["variant"] for key in by_variant} == {"v1", "v2"}
    assert sum(by_variant.values()) == before.total()
    assert all(by_variant.values())


def test_usual_queries_work(front: Front, prometheus: str) -> None:
    """Rates, quantiles of latency, and the share of failures: what dashboards and alerts are made of."""
    quantile = "histogram_quantile(0.9, sum by (le) (rate(headgate_request_duration_seconds_bucket[20s])))"

    def measured() -> bool:
        send(front, "/v2/health/ready", 5)
        time.sleep(SCRAPE_SECONDS / 2)
        found = single(query(prometheus, quantile))
        return found is not None and 0 < found < 10

    wait_until(measured, SEEN_SECONDS, "a quantile")
    rate = single(query(prometheus, "sum(rate(headgate_requests_total[20s]))"))
    assert rate is not None
    assert rate > 0
    failures = "sum(headgate_failed_requests_total) / sum(headgate_requests_total)"
    assert single(query(prometheus, failures)) == 0
    weights = query(prometheus, "sum by (route) (headgate_variant_weight)")
    assert single(weights) == pytest.approx(1)


def test_every_family_says_what_it_is(prometheus: str) -> None:
    """Each family that Prometheus knows has a type and a text."""
    wait_until(lambda: single(query(prometheus, 'up{job="headgate"}')) == 1, SEEN_SECONDS, "up == 1")
    about = ask(prometheus, "metadata")
    ours = {name: entries for name, entries in about.items() if name.startswith("headgate_")}

    assert len(ours) > 40
    assert [
        name for name, (entry, *_) in ours.items() if entry["type"] == "unknown" or not entry["help"]
    ] == []
    assert [name for name, entries in ours.items() if len(entries) > 1] == []


@pytest.mark.parametrize("accept", ["text/plain;version=0.0.4", "*/*"])
def test_promtool_is_content(front: Front, accept: str) -> None:
    """Nothing to say about names, types, texts and units, after requests were counted."""
    send(front, "/v2/health/ready", 10)
    text, content_type = scrape(front, accept)

    assert content_type.startswith("text/plain; version=0.0.4")
    assert b'headgate_requests_total{outcome="ok"' in text
    assert _promtool(["check", "metrics"], text) == (0, "")


def test_promtool_would_complain(front: Front) -> None:
    """The same check finds what is wrong, so its silence above means something."""
    text, _ = scrape(front, "text/plain")

    code, said = _promtool(["check", "metrics"], text + b"# TYPE headgate_bad counter\nheadgate_bad 1\n")

    assert code != 0
    assert "headgate_bad" in said


def test_openmetrics(front: Front) -> None:
    """The newer format, read by a strict parser, has the same series as the text format."""
    body, content_type = scrape(front, ACCEPT)
    read = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in parse_openmetrics(body)
        for sample in family.samples
    }
    text, _ = scrape(front, "text/plain")
    plain = {
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")
    assert len(read) > 300
    assert read == plain


def _promtool(arguments: Sequence[str], given: bytes) -> tuple[int, str]:
    done = subprocess.run(
        [tool("promtool"), *arguments], input=given, capture_output=True, timeout=30, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()
