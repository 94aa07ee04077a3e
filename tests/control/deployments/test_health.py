"""The history of a release's health: what changed and since when, not each figure on the way."""

from __future__ import annotations

from control.deployments.health import HISTORY_MAX, Checked, Health, Metrics, Probes, check, remembered

UP = {"http://127.0.0.1:9001": Probes(up=5, text="200"), "http://127.0.0.1:9002": Probes(up=5, text="200")}


def figures(requests: int, failures: int) -> Metrics:
    return Metrics(requests=requests, failures=failures, failure_rate=failures / requests)


def test_trouble_that_goes_on_is_one_entry_with_its_first_moment_and_latest_figures() -> None:
    """Failing for ten minutes pushes nothing out: when it began and what was before it stay readable."""
    history: tuple[Checked, ...] = ()
    for second in range(5):
        history = remembered(history, check(UP, figures(100 + second, 0), limit=0.1, at=second))
    for second in range(5, 5 + 6 * HISTORY_MAX):
        history = remembered(history, check(UP, figures(200 + second, 100 + second), limit=0.1, at=second))

    assert [(each.at, each.health) for each in history] == [(0, Health.HEALTHY), (5, Health.UNHEALTHY)]
    last = 4 + 6 * HISTORY_MAX
    assert history[-1].text.startswith(f"{100 + last} of {200 + last} requests failed")


def test_another_cause_of_the_same_health_is_an_entry_of_its_own() -> None:
    """Which endpoint does not answer, and what it says, is what a person looks for."""
    history: tuple[Checked, ...] = ()
    for at, url in enumerate(sorted(UP)):
        probes = UP | {url: Probes(down=1, text="connection refused")}
        history = remembered(history, check(probes, Metrics(), limit=0.1, at=at))
    history = remembered(history, check(UP, figures(10, 2), limit=0.1, at=2))

    assert [each.health for each in history] == [Health.DEGRADED] * 3
    assert [Checked.from_json(each.to_json()) for each in history] == list(history)
