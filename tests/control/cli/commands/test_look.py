"""`status`, `why` and `audit` against a live stand-in of the admin address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from control.cli.main import cli
from control.rollout.machine import DecisionKind
from tests.control.cli import samples
from tests.helpers.admin import AdminStandIn, admin_stand_in


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        yield stand_in


def ask(admin: AdminStandIn, *arguments: str) -> Any:
    return CliRunner().invoke(cli, arguments, env={"HEADGATE_ADMIN": admin.url, "HEADGATE_TOKEN": None})


def test_status_sets_the_weight_beside_what_was_seen(admin: AdminStandIn) -> None:
    """One table a route, one line a gate, one row a guardrail."""
    admin.on("GET", "/v1/status", (200, samples.status()))

    shown = ask(admin, "status")

    assert shown.exit_code == 0, shown.stderr
    assert "Headgate 0.1.0, up 2 min 5 s, revision 12" in shown.stdout
    assert "headgate.yaml" in shown.stdout
    (row,) = [line.split() for line in shown.stdout.splitlines() if line.startswith("v2 ")]
    assert row[:8] == ["v2", "canary", "fraud:v2", "25", "%", "24.7", "%", "30.0"]
    assert "fraud: v2 is progressing at 25 %, step 2 of 3 for 1 min 15 s" in shown.stdout
    assert "waits  evidence: 120 more canary requests" in shown.stdout
    assert "error_rate_rise: about 120 more canary requests, 40 s at the present pace" in shown.stdout
    assert "] 0/40 " in shown.stdout


@pytest.mark.parametrize(("proxies", "words"), [(1, "1 proxy diverts"), (3, "3 proxies divert")])
def test_status_says_that_a_canary_is_diverted(admin: AdminStandIn, proxies: int, words: str) -> None:
    """Just then somebody looks."""
    found = samples.status()
    found["routes"][0]["diverting"] = proxies

    assert f"route fraud (canary); {words} the canary's requests to stable now\n" in ask_status(admin, found)
    assert "divert" not in ask_status(admin, samples.status())


def test_status_shows_streams_where_there_are_any(admin: AdminStandIn) -> None:
    """One row a variant; a pace that nobody knows is a dash."""
    found = samples.status()
    assert "streams" not in ask_status(admin, found)
    none = {"state": "no_data", "n": 0, "p50": None, "p95": None, "p99": None}
    first = {"state": "ok", "n": 40, "p50": 0.2, "p95": 0.4, "p99": 1.5}
    found["routes"][0]["variants"][0]["last_minute"]["streams"] = {
        "n": 42,
        "unread": 1,
        "stalled": 2,
        "truncated": 3,
        "broken": 4,
        "tokens": 40,
        "tokens_per_second": None,
        "first_token": first,
        "token_gap": none,
        "token_time": none,
    }

    shown = ask_status(admin, found)

    (row,) = [line.split() for line in shown.splitlines() if line.startswith("v2 ") and " 42 " in line]
    assert row == ["v2", "42", "200", "ms", "400", "ms", "1.5", "s", "-", "-", "2", "3", "4", "1"]
    assert "first token p50" in shown


def ask_status(admin: AdminStandIn, status: dict[str, Any]) -> str:
    admin.on("GET", "/v1/status", (200, status))
    return str(ask(admin, "status").stdout)


def test_unequal_keys_are_told_where_a_person_waits(admin: AdminStandIn) -> None:
    """With the words of the analysis in the status, and as a factor where requests are foretold."""
    found = samples.status()
    rollout = found["rollouts"][0]
    rollout["plan"] = {"preset": "balanced", "alpha": 0.01, "alpha_promote": 0.05, "burst_seconds": 0.0}
    found["routes"][0]["variants"][0]["total"]["failure_rate"] = 0.01
    admin.on("GET", "/v1/status", (200, found))
    alike = ask(admin, "power", "fraud")
    rollout["analysis"] |= {"overdispersion": 4.04, "note": "keys differ 4.0 times as much as by chance"}

    unlike = ask(admin, "power", "fraud")

    assert (alike.exit_code, unlike.exit_code) == (0, 0), unlike.stderr
    assert "A canary with 25 % of the requests that fails 2 % where control fails 1 %" in alike.stdout
    assert "the keys of fraud differ 4.0 times as much as by chance in failures" in unlike.stdout
    assert unlike.stdout.startswith(alike.stdout.rstrip())
    assert json.loads(ask(admin, "power", "fraud", "-o", "json").stdout)["overdispersion"] == 4.04
    assert "\n  keys differ 4.0 times as much as by chance\n" in ask_status(admin, found)


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_answer_as_it_came(admin: AdminStandIn, form: str, read: Any) -> None:
    """-o json and -o yaml hold everything the interface said."""
    admin.on("GET", "/v1/status", (200, samples.status()))

    assert read(ask(admin, "status", "-o", form).stdout) == json.loads(json.dumps(samples.status()))


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_ready_is_an_exit_code(admin: AdminStandIn, status: int, code: int) -> None:
    """For health checks: nothing is printed."""
    admin.on("GET", "/readyz", (status, {}))

    done = ask(admin, "status", "--ready")

    assert (done.exit_code, done.output) == (code, "")


def test_why_tells_the_latest_decision(admin: AdminStandIn) -> None:
    """Reason, weights, every figure with interval and n, and what the evidence was held against."""
    admin.on("GET", "/v1/decisions", (200, {"decisions": [samples.decision()]}))

    shown = ask(admin, "why")

    assert shown.exit_code == 0, shown.stderr
    assert f"Decision {samples.DECISION_ID} on route fraud" in shown.stdout
    assert "rolled back: canary v2 goes from 25 % to 0 %, progressing to rolled back" in shown.stdout
    assert "2023-11-14 22:13:20 UTC" in shown.stdout
    assert "5.23 % [2.94 %, 8.41 %] 46/880" in shown.stdout
    assert re.search(
        r"Evidence of harm, all guardrails together: (?:over )?[\d ]{5,}; at 20 the canary is rolled back\.",
        shown.stdout,
    )
    assert "however often one looks: below 0.0001 at most." in shown.stdout
    assert "canary   46 of 880 failed: 5.23 % [3.94 %, 6.9 %] (Wilson)" in shown.stdout
    assert "z = 6.87, p below 0.0001" in shown.stdout
    assert "p99      4.06 ms [3.97 ms, 4.15 ms]  4.06 ms [3.97 ms, 4.15 ms]" in shown.stdout
    assert "To blame: error_rate_rise." in shown.stdout
    assert "  canary   834 ok, 46 stream error\n  control  880 ok\n" in shown.stdout
    assert admin.seen[0][1] == "/v1/decisions?limit=1"


def test_why_of_a_persons_decision_needs_no_numbers(admin: AdminStandIn) -> None:
    """A command has a reason and an actor; no analysis is made up for it."""
    decision = samples.decision(DecisionKind.ROLLED_BACK, judged=False)
    admin.on("GET", f"/v1/decisions/{samples.DECISION_ID}", (200, decision))

    shown = ask(admin, "why", samples.DECISION_ID)

    assert "who      alice" in shown.stdout
    assert "No analysis stands behind it" in shown.stdout
    assert "Evidence" not in shown.stdout


def test_why_of_a_route_also_tells_what_is_awaited(admin: AdminStandIn) -> None:
    """The latest decision about it, and where the rollout stands now."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout(decisions=[samples.decision()])))

    shown = ask(admin, "why", "fraud")

    assert shown.exit_code == 0, shown.stderr
    assert "Decision" in shown.stdout
    assert "waits  evidence: 120 more canary requests" in shown.stdout


@pytest.mark.parametrize("arguments", [(), ("fraud",)])
def test_why_gives_programs_the_evidence_too(admin: AdminStandIn, arguments: tuple[str, ...]) -> None:
    """What lists leave out, so that `replay --file` can read it."""
    decision = samples.decision()
    admin.on("GET", "/v1/decisions", (200, {"decisions": [decision]}))
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout(decisions=[decision])))
    admin.on("GET", f"/v1/decisions/{samples.DECISION_ID}", (200, {**decision, "evidence": {"a": 1}}))

    shown = ask(admin, "why", *arguments, "-o", "json")

    assert json.loads(shown.stdout)["evidence"] == {"a": 1}


def test_why_without_a_decision_says_so(admin: AdminStandIn) -> None:
    """Nothing decided is an answer of its own: exit code 1 for a route, an error for all."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/decisions", (200, {"decisions": []}))

    assert ask(admin, "why", "fraud").exit_code == 1
    nothing = ask(admin, "why")
    assert nothing.exit_code == 2
    assert "nothing has been decided yet" in nothing.stderr


def test_why_of_a_deployment_without_a_rollout_shows_its_health(admin: AdminStandIn) -> None:
    """There is no decision of a rollout; what both do not know is said as of a rollout."""
    unknown = {"error": {"code": "unknown_rollout", "message": "there is no rollout", "remedy": "use fraud"}}
    admin.on("GET", "/v1/rollouts/bg", (404, unknown))
    admin.on("GET", "/v1/deployments/bg", (200, samples.deployment()))
    admin.on("GET", "/v1/rollouts/none", (404, unknown))
    admin.on("GET", "/v1/deployments/none", (404, {"error": {"code": "unknown_deployment", "message": "?"}}))

    shown, neither = ask(admin, "why", "bg"), ask(admin, "why", "none")

    assert shown.exit_code == 0, shown.stderr
    assert "green on bg (blue-green) is rolled back: no endpoint answers" in shown.stdout
    assert "rolled back  by health: no endpoint answers" in shown.stdout
    assert re.search(r"unhealthy +no endpoint answers\n", shown.stdout)
    assert neither.exit_code == 2
    assert "there is no rollout; use fraud" in neither.stderr


def test_a_paused_rollout_says_how_to_go_on(admin: AdminStandIn) -> None:
    found = samples.status()
    said = {"approval": "promote fraud", "webhook ci": "resume fraud", "alice": "resume fraud"}
    for by, command in said.items():
        found["rollouts"] = [samples.rollout("paused", paused_by=by)]
        shown = ask_status(admin, found)

        assert f'to go on: headgate {command} --reason "..."' in shown
        assert ("asks the service again" in shown) == (by == "webhook ci")


def test_audit_is_oldest_first_and_filtered(admin: AdminStandIn) -> None:
    """The newest events, read downwards."""
    events = [
        {
            "sequence": sequence,
            "at": "2023-11-14T22:13:20.000000Z",
            "severity": "error",
            "actor": "controller",
            "type": "rollout_rolled_back",
            "resource_id": "r-1",
            "details": {"route": "fraud", "reason": "too many failures"},
        }
        for sequence in (9, 8)
    ]
    admin.on("GET", "/v1/audit", (200, {"events": events, "size": 9}))

    shown = ask(admin, "audit", "--limit", "2", "--actor", "controller")

    assert admin.seen[0][1] == "/v1/audit?order=newest&limit=2&actor=controller"
    lines = shown.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["8", "9"]
    assert "too many failures" in lines[1]
