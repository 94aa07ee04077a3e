"""The shell of a pipeline's own steps.

Every value is an environment variable, so that the text is the same for every model and nothing has to be
quoted. Nothing is substituted by `$(…)`, which some platforms expand themselves.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

# The release as routes name it.
_RELEASE: Final = """\
read -r MODEL_VERSION < "$VERSION_FILE" || test -n "$MODEL_VERSION"
release="$MODEL_NAME:$MODEL_VERSION"
"""
# One folder for what a job leaves, and the page on which the platform shows a run, where it has one.
_REPORTS: Final = """\
mkdir -p reports
summary="${GITHUB_STEP_SUMMARY:-reports/summary.md}"
"""
# How long to wait, and what follows when nothing is known by then.
_PATIENCE: Final = ('--timeout "$GATE_TIMEOUT"', '--on-undecided "$GATE_ON_UNDECIDED"')


def lines(commands: Sequence[str]) -> str:
    """The user's own commands, one after the other."""
    return "mkdir -p reports\n" + "".join(f"{command}\n" for command in commands)


def validate(thresholds: Sequence[str], compare_with: str | None) -> str:
    """Artifact, metrics, thresholds, and no step back behind the version in service."""
    parts = [
        'headgate registry validate "$MODEL_NAME"',
        '--artifact "$ARTIFACT_PATH"',
        '--metrics "$METRICS_FILE"',
    ]
    parts += [f"--threshold {shlex.quote(threshold)}" for threshold in thresholds]
    if compare_with is not None:
        parts.append(f"--against {shlex.quote(compare_with)}")
    parts.append("--junit reports/validate.xml")
    return "mkdir -p reports\n" + _call(parts)


def register() -> str:
    """The version under its name, once and for all."""
    return _RELEASE + _call(
        [
            'headgate registry register "$MODEL_NAME" "$MODEL_VERSION"',
            '--artifact "$ARTIFACT_PATH"',
            '--metrics "$METRICS_FILE"',
        ]
    )


def request_approval() -> str:
    """A request that people answer in the registry."""
    return _RELEASE + _call(
        [
            'headgate approvals request "$MODEL_NAME" "$MODEL_VERSION"',
            '--justification "asked for by the pipeline of $MODEL_NAME"',
        ]
    )


def shadow_gate() -> str:
    """Compared on mirrored requests, and the comparison decided."""
    return _gate("shadow", "--until shadow", *_PATIENCE)


def install(dependencies: Sequence[str], headgate: str | None) -> str:
    """The model's own packages with the tools of the checks, and Headgate's command; either may be none."""
    pip = "python -m pip install --disable-pip-version-check"
    text = ""
    if dependencies:
        text += _call([f'{pip} --requirement "$REQUIREMENTS_FILE"', *map(shlex.quote, dependencies)])
    if headgate is not None:
        text += f"{pip} {shlex.quote(headgate)}\n"
    return text


def begin() -> str:
    """Point the route's canary at the release."""
    return _RELEASE + _call(
        [
            'headgate registry alias "$MODEL_NAME" "$HEADGATE_ALIAS" "$MODEL_VERSION"',
            '--reason "the pipeline releases $release to $HEADGATE_ENVIRONMENT"',
        ]
    )


def enter_stage() -> str:
    """Refused, with who is missing, when the stage takes an approval that is not there."""
    return _RELEASE + _call(
        [
            'headgate registry promote "$release" "$MODEL_STAGE"',
            '--reason "promoted on its route"',
        ]
    )


def gate() -> str:
    """Its exit code is the decision: 0 promoted, 1 rolled back, 2 undecided."""
    return _gate("gate", *_PATIENCE)


def watch() -> str:
    """In service, and still judged: a rollback in that time fails the job."""
    return _gate("watch", '--watch "$WATCH_TIME"', before="headgate status --ready\n")


def roll_back() -> str:
    """Nothing of this release stays in the path when the job failed, whatever the reason."""
    return _RELEASE + _call(
        [
            'headgate rollback "$HEADGATE_ROUTE"',
            '--release "$release"',
            "--if-serving",
            '--reason "the pipeline of $release failed in $HEADGATE_ENVIRONMENT"',
        ]
    )


def verify_audit(key: str) -> str:
    """A report on a log that was tampered with is worth nothing."""
    return (
        "mkdir -p reports\n"
        "headgate audit export --to reports/audit.jsonl\n"
        f"headgate audit verify reports/audit.jsonl --key {shlex.quote(key)}\n"
    )


def compliance_report() -> str:
    """Evidence for auditors, kept with the run."""
    return "mkdir -p reports\nheadgate audit report --format html --to reports/compliance.html\n"


def _gate(report: str, *options: str, before: str = "") -> str:
    """Wait for what Headgate says of the release; *report* names the files that tell of it."""
    parts = [
        'headgate gate "$HEADGATE_ROUTE"',
        '--release "$release"',
        *options,
        f"--junit reports/{report}.xml",
        '--summary "$summary"',
    ]
    return _RELEASE + _REPORTS + before + _call(parts)


def _call(parts: Sequence[str]) -> str:
    return " \\\n  ".join(parts) + "\n"
