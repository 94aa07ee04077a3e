"""Commands that change something, and `wait`, against a live stand-in of the admin address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from control.cli.main import cli
from tests.control.cli import samples
from tests.helpers.admin import AdminStandIn, admin_stand_in

AWAY = (503, {"error": {"code": "control_away", "message": "control is away", "remedy": "wait"}})


@pytest.fixture
def admin() -> Iterator[AdminStandIn]:
    with admin_stand_in() as stand_in:
        yield stand_in


def ask(admin: AdminStandIn, *arguments: str) -> Any:
    return CliRunner().invoke(cli, arguments, env={"HEADGATE_ADMIN": admin.url, "HEADGATE_TOKEN": None})


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        ("promote", "promoted"),
        ("pause", "paused"),
        ("resume", "progressing"),
        ("abort", "aborted"),
        ("rollback", "rolled_back"),
        ("restart", "progressing"),
    ],
)
def test_each_command_is_one_post_with_its_reason(admin: AdminStandIn, verb: str, state: str) -> None:
    """The answer tells where the rollout stands after it."""
    admin.on("POST", f"/v1/rollouts/fraud/{verb}", (200, samples.rollout(state)))

    done = ask(admin, verb, "fraud", "--reason", "Friday")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{verb}: fraud: v2 is {state.replace('_', ' ')}")
    assert [(method, path, body) for method, path, _, body in admin.seen] == [
        ("POST", f"/v1/rollouts/fraud/{verb}", {"reason": "Friday"})
    ]


def test_a_command_that_does_not_fit_is_an_error(admin: AdminStandIn) -> None:
    """What the interface says, message and remedy, in one line."""
    error = {"code": "illegal_transition", "message": "it is promoted", "remedy": "it takes rollback"}
    admin.on("POST", "/v1/rollouts/fraud/pause", (409, {"error": error}))

    failed = ask(admin, "pause", "fraud")

    assert failed.exit_code == 2
    assert failed.stderr == "headgate: it is promoted; it takes rollback\n"


def test_a_route_without_a_rollout_any_more_is_told(admin: AdminStandIn) -> None:
    """The configuration may have taken the canary away meanwhile."""
    admin.on("POST", "/v1/rollouts/fraud/abort", (200, {"route": "fraud", "state": "none", "revision": 3}))

    assert "no rollout any more" in ask(admin, "abort", "fraud").stdout


@pytest.mark.parametrize(("command", "path"), [("reload", "/-/reload"), ("drain", "/-/drain")])
def test_process_commands(admin: AdminStandIn, command: str, path: str) -> None:
    """Each is one POST to the agent."""
    admin.on("POST", path, (200, {"status": "ok"}))

    done = ask(admin, command, "-o", "json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"status": "ok"}
    assert admin.seen[0][:2] == ("POST", path)


@pytest.mark.parametrize(
    ("goal", "state", "code"),
    [
        ("promoted", "promoted", 0),
        ("promoted", "rolled_back", 1),
        ("promoted", "aborted", 1),
        ("rolled_back", "rolled_back", 0),
        ("rolled_back", "promoted", 1),
        ("paused", "paused", 0),
        ("paused", "expired", 1),
        ("decision", "promoted", 0),
        ("decision", "rolled_back", 1),
        ("decision", "superseded", 1),
    ],
)
def test_wait_tells_by_its_exit_code(admin: AdminStandIn, goal: str, state: str, code: int) -> None:
    """0 as asked for, 1 otherwise; the rollout that was there is followed by its id."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", (200, samples.rollout()), (200, samples.rollout(state)))

    done = ask(admin, "wait", "fraud", "--for", goal, "--timeout", "20s")

    assert done.exit_code == code, done.stderr
    assert f"v2 is {state.replace('_', ' ')}" in done.stdout


def test_wait_is_over_at_once_when_it_has_happened(admin: AdminStandIn) -> None:
    """One question, and no second one about what is decided already."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout("promoted")))

    assert ask(admin, "wait", "fraud").exit_code == 0
    assert len(admin.seen) == 1


def test_wait_gives_up_with_4(admin: AdminStandIn) -> None:
    """Undecided is neither yes nor no."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", (200, samples.rollout()))

    done = ask(admin, "wait", "fraud", "--for", "promoted", "--timeout", "300ms")

    assert done.exit_code == 4
    assert "still progressing" in done.stderr


def test_wait_sits_out_a_restart_of_control(admin: AdminStandIn) -> None:
    """Control may be away for a while; what it has decided by then is seen."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", AWAY, AWAY, (200, samples.rollout("promoted")))

    assert ask(admin, "wait", "fraud", "--timeout", "20s").exit_code == 0


def test_wait_for_somebody_who_never_answers_is_unreachable(admin: AdminStandIn) -> None:
    """At the first question and at the end of the time alike: exit code 3."""
    admin.on("GET", "/v1/rollouts/fraud", AWAY)
    assert ask(admin, "wait", "fraud", "--timeout", "20s").exit_code == 3

    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))
    admin.on("GET", "/v1/rollouts/r-1", AWAY)
    assert ask(admin, "wait", "fraud", "--timeout", "700ms").exit_code == 3


@pytest.mark.parametrize("timeout", ["soon", "-1s", "5 parsecs"])
def test_a_timeout_that_is_none_is_refused(admin: AdminStandIn, timeout: str) -> None:
    """Durations are written as in the configuration."""
    failed = ask(admin, "wait", "fraud", f"--timeout={timeout}")

    assert failed.exit_code == 2
    assert "--timeout" in failed.stderr
    assert admin.seen == []


@pytest.mark.parametrize("verb", ["abort", "rollback"])
@pytest.mark.parametrize(
    ("state", "release", "sent"),
    [
        ("progressing", "fraud:v2", True),
        ("promoted", "v2", True),
        ("rolled_back", "fraud:v2", False),
        ("progressing", "fraud:v3", False),
    ],
)
def test_a_pipeline_ends_its_own_rollout_and_no_other(
    admin: AdminStandIn, verb: str, state: str, release: str, sent: bool
) -> None:
    """By the id of the rollout it looked at; nothing to do is no failure."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout(state)))
    admin.on("POST", f"/v1/rollouts/r-1/{verb}", (200, samples.rollout("aborted")))

    done = ask(admin, verb, "fraud", "--release", release, "--if-serving")

    assert done.exit_code == 0, done.stderr
    assert [path for method, path, *_ in admin.seen if method == "POST"] == (
        [f"/v1/rollouts/r-1/{verb}"] if sent else []
    )
    assert ("nothing to do" in done.stdout) is not sent


def test_a_person_who_names_the_wrong_release_is_told(admin: AdminStandIn) -> None:
    """Without --if-serving it is a mistake."""
    admin.on("GET", "/v1/rollouts/fraud", (200, samples.rollout()))

    refused = ask(admin, "rollback", "fraud", "--release", "fraud:v3")

    assert refused.exit_code == 2
    assert "is about fraud:v2, not fraud:v3" in refused.stderr
