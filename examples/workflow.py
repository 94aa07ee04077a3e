"""Three releases of a model on their way to customers, by the Python API alone.

Beside a Headgate that runs workflow.yaml, with requests coming in:

    python examples/workflow.py --state examples/.headgate --admin http://127.0.0.1:9901 MODEL MODEL MODEL

MODEL are three files, one for each release. It ends with 0 when v2 has taken the place of v1, and v3, which
fails more often, has been taken back; with 1 and the reason when it comes out otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from control.ci.generator import CITemplateGenerator
from control.errors import ForbiddenError, HeadgateError, NotApprovedError
from control.library.ab_tests import ABTestManager
from control.library.audit import AuditLog
from control.library.deployments import DeploymentManager
from control.library.registry import ModelRegistry

MODEL = "fraud"
# A ramp for a demonstration: in production leave `rollout` out, or take a preset and nothing else.
RAMP = {"preset": "aggressive", "alpha": 0.01, "steps": ["10%", "50%", "100%"], "duration": "2s"}
PATIENCE_S = 180.0


def register(state: Path, versions: dict[str, Path]) -> None:
    """Put every release into the registry, with its artifact and what it was made from."""
    before = ""
    with ModelRegistry(state, actor="alice") as registry:
        for version, artifact in versions.items():
            release = registry.register(
                MODEL,
                version,
                artifact,
                metrics={"bytes": artifact.stat().st_size},
                tags={"team": "risk"},
                parents=[before] if before else [],
            )
            registry.promote(release.label, "staging", reason="tests passed")
            print(f"registered {release.label}, {release.artifact_digest[:19]}…")
            before = release.label


def approve(state: Path, version: str) -> str:
    """Get the agreement of two people, neither of whom has asked for it; returns the request's id."""
    label = f"{MODEL}:{version}"
    with ModelRegistry(state, actor="alice") as registry:
        try:
            registry.promote(label, "production")
        except NotApprovedError as error:
            print(f"not yet: {error.message}")
        asked = registry.request_approval(
            label, justification="fewer false alarms", reviewers=["bob", "carol"], quorum=2
        )
        try:
            registry.approve(asked.id)
        except ForbiddenError as error:
            print(f"not by herself: {error.message}")
    for reviewer in ("bob", "carol"):
        with ModelRegistry(state, actor=reviewer) as registry:
            answer = registry.approve(asked.id, reason="looked at the figures")
            print(f"{reviewer} approves {label}: {answer.missing() or 'granted'}")
    return asked.id


def try_on_staff(admin: str, route: str, control: str, treatment: str) -> str:
    """Divide the requests of staff until it is known whether one fails more; returns the verdict."""
    tests = ABTestManager(admin)
    made = tests.create(
        f"{treatment}-for-staff",
        route=route,
        variants={control: 50, treatment: 50},
        key=["header:x-user-id"],
        margin=0.02,
    )
    tests.start(made.id)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        analysis = tests.get(made.id).analysis
        found = analysis["treatments"][0] if analysis is not None else {"verdict": "no_data"}
        if found["verdict"] not in ("no_data", "inconclusive"):
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"undecided after {PATIENCE_S:g} s: {found}")
        time.sleep(0.5)
    tests.complete(made.id, reason=f"{treatment} is {found['verdict']}")
    print(f"A/B test: {found['reason']}")
    return str(found["verdict"])


def deploy(admin: str, route: str, version: str) -> str:
    """Give a release more and more of the customers' requests, as evidence allows; returns how that ended."""
    deployments = DeploymentManager(admin)
    made = deployments.create(
        route,
        strategy="canary",
        upstream=version,
        settings={"key": ["header:x-user-id"], "rollout": RAMP},
        reason=f"{version} is approved",
    )
    ended = deployments.wait(made.id, timeout=PATIENCE_S)
    print(f"deployment of {version}: {ended.status}; {ended.reason}")
    return ended.status


def evidence(state: Path, folder: Path) -> list[str]:
    """Export the audit log, prove it whole, and list what should not have happened."""
    now = datetime.now(UTC)
    with AuditLog(state, actor="auditor") as log:
        exported = log.export(folder / "audit.jsonl")
        report = log.report(now - timedelta(days=1), now + timedelta(minutes=1))
        verdict = log.verify()
    print(f"{exported} events exported; the log is {'whole' if verdict.whole else 'NOT whole'}")
    problems = [each["exception"] for each in report["separation_of_duties"]]
    problems += [f"{each['type']}: {each['reason']}" for each in report["violations"]]
    return problems if verdict.whole else [*problems, "the audit log is not whole"]


def main() -> int:
    """Play it."""
    parser = argparse.ArgumentParser(description="A complete workflow by the Python API.")
    parser.add_argument("--state", type=Path, default=Path(".headgate"), help="state directory")
    parser.add_argument("--admin", default="http://127.0.0.1:9901", help="admin address")
    parser.add_argument("--customers", default="fraud", help="route of customers")
    parser.add_argument("--staff", default="fraud-staff", help="route of staff")
    parser.add_argument("--to", type=Path, default=Path(), help="where pipelines and the export are written")
    parser.add_argument("models", metavar="MODEL", type=Path, nargs=3, help="artifacts of v1, v2 and v3")
    given = parser.parse_args()
    try:
        register(given.state, dict(zip(("v1", "v2", "v3"), given.models, strict=True)))
        approve(given.state, "v2")
        verdict = try_on_staff(given.admin, given.staff, "v1", "v2")
        first = deploy(given.admin, given.customers, "v2")
        with ModelRegistry(given.state, actor="alice") as registry:
            registry.promote(f"{MODEL}:v2", "production", reason=first)
            print(f"{MODEL}@prod stands for {registry.aliases(MODEL)['prod']}")
        second = deploy(given.admin, given.customers, "v3")
        with ModelRegistry(given.state, actor="alice") as registry:
            registry.archive(f"{MODEL}:v3", reason=second)
            live = registry.compare(f"{MODEL}:v2", f"{MODEL}:v3")["live"]
            print("live:", *(f"{each['release']} {each['outcome']}" for each in live))
        written = CITemplateGenerator(model=MODEL).write("github", given.to)
        print(f"pipelines: {', '.join(written)}")
        problems = evidence(given.state, given.to)
    except (HeadgateError, TimeoutError) as error:
        print(f"workflow: {error}", file=sys.stderr)
        return 1
    if verdict not in ("better", "equivalent"):
        problems.append(f"v2 came out {verdict} among staff")
    if (first, second) != ("active", "rolled_back"):
        problems.append(f"v2 was {first} and v3 {second}")
    for problem in problems:
        print(f"workflow: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
