"""A real Headgate in front of a server: two variants of one route, which both lead to it."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.metrics import samples
from tests.helpers.processes import running, wait_until

READY_SECONDS = 60.0
COUNTED_SECONDS = 10.0
VARIANT = "x-headgate-variant"

HALVES: Mapping[str, Any] = {"split": {"kind": "random", "variants": {"v1": 50, "v2": 50}}}

# What must stay at zero whoever is in front of or behind us.
NEVER = (
    "headgate_malformed_requests_total",
    "headgate_unmatched_requests_total",
    "headgate_refused_requests_total",
    "headgate_internal_errors_total",
    "headgate_worker_restarts_total",
)
FAULTS = ("connect_failed", "reset", "stream_truncated", "stream_error", "invalid_response", "shed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A running Headgate: where it accepts requests, and its admin address."""

    url: str
    admin: str

    def samples(self) -> dict[str, float]:
        """Return every sample of /metrics."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            return samples(answer.read())

    def outcomes(self) -> Counter[str]:
        """Return how many requests ended in which outcome so far, over all variants."""
        found: Counter[str] = Counter()
        for name, value in self.samples().items():
            if name.startswith("headgate_requests_total{") and value:
                found[name.split('outcome="')[1].split('"')[0]] += int(value)
        return found

    def variants(self) -> set[str]:
        """Return the variants that have answered a request."""
        return {
            name.split('variant="')[1].split('"')[0]
            for name, value in self.samples().items()
            if name.startswith("headgate_requests_total{") and value
        }

    def wait_for(self, count: int) -> Counter[str]:
        """Return the outcomes as soon as `count` requests have ended: an end is counted after its answer."""
        wait_until(
            lambda: self.outcomes().total() >= count, COUNTED_SECONDS, f"the count of {count} requests"
        )
        return self.outcomes()

    def settled(self) -> Counter[str]:
        """Return the outcomes as soon as nothing is in flight any more."""
        wait_until(
            lambda: all(
                value == 0
                for name, value in self.samples().items()
                if name.startswith("headgate_in_flight_requests{")
            ),
            COUNTED_SECONDS,
            "the end of all requests",
        )
        return self.outcomes()

    def blamed(self) -> dict[str, float]:
        """Return what went wrong in Headgate or on its way to the server; empty when all is well."""
        wrong = {
            name: value for name, value in self.samples().items() if name.split("{")[0] in NEVER and value
        }
        outcomes = self.outcomes()
        return wrong | {fault: float(outcomes[fault]) for fault in FAULTS if outcomes[fault]}


@contextmanager
def headgate_before(
    url: str, folder: Path, *, command: str = "run", route: Mapping[str, Any] = HALVES
) -> Iterator[Front]:
    """Run `headgate COMMAND` with two workers and two variants, v1 and v2, that lead to `url`."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "listeners": [{"bind": "127.0.0.1:0"}],
        "admin": {"bind": "127.0.0.1:0"},
        "workers": 2,
        "timeouts": {"drain": "5s"},
        "upstreams": {"v1": {"endpoints": [url]}, "v2": {"endpoints": [url]}},
        "routes": [{"name": "all", **route}],
    }
    (folder / "headgate.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    with running("control.cli", command, "headgate.yaml", cwd=folder) as process:

        def ready() -> Front | None:
            assert process.poll() is None, (folder / "log").read_text()
            return _front(folder)

        yield wait_until(ready, READY_SECONDS, "readiness of Headgate")


def _front(folder: Path) -> Front | None:
    """Return the Headgate whose state is in `folder`, once it takes requests."""
    try:
        admin = json.loads((folder / ".headgate/supervisor.json").read_text())["admin"]
        with urllib.request.urlopen(f"{admin}/readyz", timeout=5):
            (record, *_) = json.loads((folder / ".headgate/workers.json").read_text())
    except OSError:
        return None
    host, port = record["addresses"][0]
    return Front(url=f"http://{host}:{port}", admin=admin)
