"""The shell of a generated pipeline as its platform would run it: text and environment of each step."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.control.ci.references import parse

# Lines that a platform's own way of running steps adds around the same shell.
_FRAME = re.compile(
    r"\A(?:#!/bin/sh -eu\n|set -eu\n|\. \.venv/bin/activate\n|if \[ \"\$CI_JOB_STATUS\"[^\n]*\n)+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """One step. `secrets`: whether the platform gives it address and token."""

    job: str
    script: str
    environment: dict[str, str]
    secrets: bool
    on_failure: bool = False

    @property
    def plain(self) -> str:
        """The shell without what its platform puts around it."""
        return _FRAME.sub("", self.script)


def steps(provider: str, files: dict[str, str]) -> list[Shell]:
    """All steps but the installation, in the order of the file, those of failure last in their job."""
    readers = {"github": _github, "gitlab": _gitlab, "azure": _azure, "jenkins": _jenkins}
    return list(readers[provider](files))


def _github(files: dict[str, str]) -> Iterator[Shell]:
    (text,) = files.values()
    document = parse(text)
    for name, job in document["jobs"].items():
        for step in job["steps"]:
            if "run" in step and step["name"] != "Install":
                yield Shell(
                    job=name,
                    script=step["run"],
                    environment={**document["env"], **job.get("env", {})},
                    secrets="HEADGATE_TOKEN" in step.get("env", {}),
                    on_failure="failure()" in step.get("if", ""),
                )


def _gitlab(files: dict[str, str]) -> Iterator[Shell]:
    document = parse(files[".gitlab-ci.yml"])
    for name, job in document.items():
        if not isinstance(job, dict) or "script" not in job:
            continue
        environment = {**document["variables"], **job["variables"]}
        # The first one installs.
        for script in job["script"][1:]:
            yield Shell(job=name, script=script, environment=environment, secrets=True)
        for script in job.get("after_script", []):
            yield Shell(job=name, script=script, environment=environment, secrets=True, on_failure=True)


def _azure(files: dict[str, str]) -> Iterator[Shell]:
    document = parse(files["azure-pipelines.yml"])
    everywhere = _variables(document)
    for stage in document["stages"]:
        for job in stage["jobs"]:
            inner = job["strategy"]["runOnce"]["deploy"] if "deployment" in job else job
            for step in inner["steps"]:
                if "bash" in step:
                    yield Shell(
                        job=job.get("job") or job["deployment"],
                        script=step["bash"],
                        environment={**everywhere, **_variables(stage)},
                        secrets="HEADGATE_TOKEN" in step.get("env", {}),
                        on_failure="failed()" in step.get("condition", ""),
                    )


def _variables(part: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in part.get("variables", []) if "name" in one}


def _jenkins(files: dict[str, str]) -> Iterator[Shell]:
    text = files["Jenkinsfile"]
    everywhere = dict(re.findall(r"^    ([A-Z_]+) = '([^']*)'$", text, re.MULTILINE))
    titles = {"Validate the model": "validate", "Register the version": "register"}
    titles |= {"Ask for approval": "request_approval", "Compliance report": "compliance_report"}
    for stage in re.split(r"^ +(?=stage\(')", text, flags=re.MULTILINE)[1:]:
        title = stage.partition("'")[2].partition("'")[0]
        name = titles.get(title) or re.sub(r" gate in | to |-|(?<=stage) ", "_", title.lower())
        name = name.removeprefix("enter ")
        environment = {
            **everywhere,
            **dict(re.findall(r"^        ([A-Z_]+) = '([^']*)'$", stage, re.MULTILINE)),
        }
        found = re.finditer(r"(withCredentials[^\n]*\n)?[ ]*sh '''(.*?)'''", stage, re.DOTALL)
        failing = stage.find("unsuccessful {")
        for number, match in enumerate(found):
            if number == 0:
                continue
            first, _, rest = match[2].partition("\n")
            script = f"{first}\n{textwrap.dedent(rest)}".rstrip(" ").replace("\\\\", "\\").replace("\\'", "'")
            yield Shell(
                job=name,
                script=script,
                environment=environment,
                secrets=bool(match[1]),
                on_failure=0 <= failing < match.start(),
            )
