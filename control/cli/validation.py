"""What a release is checked for before it is registered: names, artifact, figures, and no step back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import quoteattr

from control.cli.client import AdminClient
from control.cli.failure import CommandError
from control.cli.uploads import figures, model_path, refuse_known, release_path
from control.errors import HeadgateError

_THRESHOLD: Final = re.compile(r"(.+?)(>=|<=|==|>|<)(-?\d+(?:\.\d+)?(?:e-?\d+)?)")


class Check(NamedTuple):
    """One check and how it came out."""

    name: str
    passed: bool
    text: str


def checks(
    client: AdminClient,
    name: str,
    *,
    version: str | None,
    artifact: Path | None,
    metrics_file: Path | None,
    thresholds: Sequence[str],
    against: str | None,
    tolerance: float,
) -> Iterator[Check]:
    """Every check that was asked for.

    Raises:
        CommandError: a threshold or a file cannot be read, or nobody answers.
    """
    yield _named(client, name, version)
    if artifact is not None:
        yield _readable(artifact)
    known = {} if metrics_file is None else figures(metrics_file)
    for threshold in thresholds:
        yield _holds(threshold, known)
    if against is not None:
        yield from _no_step_back(client, name, against, known, tolerance)


def junit_text(name: str, done: Sequence[Check]) -> str:
    """The checks as JUnit XML, which pipelines show."""
    cases = []
    for check in done:
        head = f"    <testcase classname={quoteattr(name)} name={quoteattr(check.name)}"
        failure = f"><failure message={quoteattr(check.text)}/></testcase>"
        cases.append(head + ("/>" if check.passed else failure))
    failures = sum(not check.passed for check in done)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites>\n  <testsuite name="headgate registry validate" tests="{len(done)}" '
        f'failures="{failures}">\n' + "\n".join(cases) + "\n  </testsuite>\n</testsuites>\n"
    )


def _named(client: AdminClient, name: str, version: str | None) -> Check:
    from control.registry.names import check_name
    from control.registry.versions import parse_version

    label = name if version is None else f"{name}:{version}"
    try:
        check_name(name)
        rules = client.get("/v1/registry")
        if version is not None:
            parse_version(version, rules["schemes"].get(name, rules["versions"]))
            refuse_known(client, name, version)
    except HeadgateError as error:
        return Check("name", False, str(error))
    except CommandError as error:
        if error.exit_code != CommandError.exit_code:
            raise
        return Check("name", False, error.message)
    return Check("name", True, f"{label} can be registered")


def _readable(artifact: Path) -> Check:
    from control.registry.packing import Source

    try:
        size = sum(len(chunk) for chunk in Source.of(artifact).chunks())
    except HeadgateError as error:
        return Check("artifact", False, str(error))
    return Check("artifact", size > 0, f"{artifact}: {size} bytes" if size else f"{artifact} is empty")


def _holds(threshold: str, known: dict[str, float]) -> Check:
    found = _THRESHOLD.fullmatch(threshold.replace(" ", ""))
    if found is None:
        raise CommandError(f"--threshold {threshold!r} is no comparison", "write 'auc>=0.9'")
    metric, sign, number = found[1], found[2], float(found[3])
    if metric not in known:
        return Check(threshold, False, f"there is no figure {metric}")
    value = known[metric]
    passed = {
        ">=": value >= number,
        "<=": value <= number,
        "==": value == number,
        ">": value > number,
        "<": value < number,
    }[sign]
    return Check(threshold, passed, f"{metric} is {value:g}")


def _no_step_back(
    client: AdminClient, name: str, against: str, known: dict[str, float], tolerance: float
) -> Iterator[Check]:
    from config.registry import Registry
    from control.registry.policy import Policy

    answer = client.exchange("GET", f"{model_path(name)}/versions/@{against}")
    if answer.status in (400, 404):
        answer = client.exchange("GET", release_path(f"{name}:{against}"))
    if answer.status in (400, 404):
        yield Check(f"against {against}", True, "there is no such release yet")
        return
    old = answer.value if answer.status < 400 else client.get(release_path(f"{name}:{against}"))
    rules = client.get("/v1/registry")["rules"]
    policy = Policy(rules=Registry.model_validate(rules))
    for metric, before in old["metrics"].items():
        label = f"{metric} against {old['version']}"
        if metric not in known:
            yield Check(label, False, f"there is no figure {metric}, which was {before:g}")
            continue
        worse = (
            before - known[metric] if policy.direction(name, metric) == "higher" else known[metric] - before
        )
        text = f"{known[metric]:g}, was {before:g}"
        yield Check(label, worse <= tolerance * abs(before), text)
