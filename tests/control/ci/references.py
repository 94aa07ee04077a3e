"""Finds what a pipeline refers to and does not have: our own check beside those of the platforms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml


class _Loader(yaml.CSafeLoader):
    """YAML in which `on` stays a word."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def parse(text: str) -> Any:
    """A document of a platform."""
    return yaml.load(text, Loader=_Loader)


def faults(provider: str, files: dict[str, str]) -> list[str]:
    """Everything that hangs in the air; empty when all is well."""
    return list({"github": _github, "gitlab": _gitlab, "azure": _azure, "jenkins": _jenkins}[provider](files))


def _cycle(needs: dict[str, list[str]]) -> Iterator[str]:
    done: set[str] = set()
    while True:
        ready = {name for name, before in needs.items() if name not in done and set(before) <= done}
        if not ready:
            break
        done |= ready
    yield from (f"{name} waits for itself or for nothing that exists" for name in needs.keys() - done)


def _github(files: dict[str, str]) -> Iterator[str]:
    for text in files.values():
        document = parse(text)
        jobs = document["jobs"]
        yield from _cycle({name: job.get("needs", []) for name, job in jobs.items()})
        for name, job in jobs.items():
            texts = str(job)
            declared = set(document["env"]) | set(job.get("env", {}))
            for step in job["steps"]:
                known = declared | set(step.get("env", {})) | {"GITHUB_STEP_SUMMARY"}
                yield from _undefined(f"{name}: {step['name']}", step.get("run", ""), known)
            for used in re.findall(r"matrix\.([a-z]+)", texts):
                if used not in job.get("strategy", {}).get("matrix", {}):
                    yield f"{name}: matrix.{used} is not there"


def _gitlab(files: dict[str, str]) -> Iterator[str]:
    document = parse(files[".gitlab-ci.yml"])
    settings = {"stages", "workflow", "default", "variables"}
    jobs = {name: job for name, job in document.items() if name not in settings and not name.startswith(".")}
    yield from _cycle({name: job["needs"] for name, job in jobs.items()})
    order = document["stages"]
    for name, job in jobs.items():
        if job["stage"] not in order:
            yield f"{name}: stage {job['stage']} is not there"
        if job["extends"] not in document:
            yield f"{name}: {job['extends']} is not there"
        for need in job["needs"]:
            if order.index(jobs[need]["stage"]) > order.index(job["stage"]):
                yield f"{name}: {need} is of a later stage"
        known = set(document["variables"]) | set(job.get("variables", {}))
        known |= {"HEADGATE_ADMIN", "HEADGATE_TOKEN", "CI_JOB_STATUS", "GITHUB_STEP_SUMMARY"} | set(
            job.get("id_tokens", {})
        )
        for script in [*job["script"], *job.get("after_script", [])]:
            yield from _undefined(name, script, known)


def _azure(files: dict[str, str]) -> Iterator[str]:
    document = parse(files["azure-pipelines.yml"])
    stages = document["stages"]
    yield from _cycle({stage["stage"]: stage["dependsOn"] for stage in stages})
    everywhere = {variable["name"] for variable in document["variables"] if "name" in variable}
    for stage in stages:
        jobs = {job.get("job") or job["deployment"]: job for job in stage["jobs"]}
        yield from _cycle({name: job.get("dependsOn", []) for name, job in jobs.items()})
        own = {variable["name"] for variable in stage.get("variables", []) if "name" in variable}
        for name, job in jobs.items():
            inner = job["strategy"]["runOnce"]["deploy"] if "deployment" in job else job
            for step in inner["steps"]:
                if "template" in step and step["template"].lstrip("/") not in files:
                    yield f"{name}: template {step['template']} is not there"
                known = everywhere | own | set(step.get("env", {}))
                known |= {"GITHUB_STEP_SUMMARY", "AGENT_TEMPDIRECTORY"}
                known |= {"idToken", "servicePrincipalId", "tenantId"}
                script = step.get("bash", "") or step.get("inputs", {}).get("inlineScript", "")
                yield from _undefined(name, script, known)


def _jenkins(files: dict[str, str]) -> Iterator[str]:
    text = files["Jenkinsfile"]
    blocks = declarative_blocks(text)
    yield from declarative_faults(blocks)
    everywhere = set(re.findall(r"^ +([A-Z_]+) = '", text, re.MULTILINE))
    everywhere |= set(re.findall(r"variable: '([A-Z_]+)'", text)) | set(re.findall(r"name '([A-Z_]+)'", text))
    for script in re.findall(r"sh '''(.*?)'''", text, re.DOTALL):
        yield from _undefined("sh", script, everywhere | {"GITHUB_STEP_SUMMARY"})


_ASSIGNED = re.compile(r"(?:^|[\s;])([A-Za-z_]+)=|read -r ([A-Za-z_]+)")


def _undefined(place: str, script: str, known: set[str]) -> Iterator[str]:
    """Variables that nobody sets: the step would fail, or quietly do something else."""
    own = {name for pair in _ASSIGNED.findall(script) for name in pair if name}
    for name in set(re.findall(r"(?<!\\)\$\{?([A-Za-z_][A-Za-z0-9_]*)", script)) - own - known:
        yield f"{place}: ${name} is set by nobody"


# Declarative pipelines of Jenkins: which block may stand in which, and which of them exclude one another.
_ALLOWED = {
    "pipeline": {"agent", "options", "triggers", "environment", "stages", "post", "parameters", "tools"},
    "stages": {"stage"},
    "parallel": {"stage"},
    "stage": {
        *("agent", "options", "environment", "when", "input", "steps", "post"),
        *("stages", "parallel", "matrix", "tools"),
    },
    "matrix": {
        "axes",
        "excludes",
        "agent",
        "stages",
        "environment",
        "options",
        "post",
        "when",
        "input",
        "tools",
    },
    "axes": {"axis"},
    "post": {
        "always",
        "success",
        "failure",
        "unsuccessful",
        "aborted",
        "cleanup",
        "changed",
        "fixed",
        "unstable",
    },
}

Block = tuple[str, list[Any]]


def declarative_blocks(text: str) -> Block:
    """The blocks of a Jenkinsfile as a tree; strings and comments are skipped."""
    plain = re.sub(r"'''.*?'''|'(?:\\.|[^'\\\n])*'|//[^\n]*", "''", text, flags=re.DOTALL)
    root: Block = ("file", [])
    stack = [root]
    for match in re.finditer(r"([A-Za-z]+)\s*(?:\([^(){}]*(?:\([^()]*\)[^(){}]*)*\))?\s*\{|\}", plain):
        if match[0] == "}":
            stack.pop()
            assert stack, "a brace too many"
        else:
            block: Block = (match[1], [])
            stack[-1][1].append(block)
            stack.append(block)
    assert len(stack) == 1, "a brace is not closed"
    return root


def declarative_faults(block: Block, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Blocks where Jenkins would not take them."""
    name, inner = block
    names = [child[0] for child in inner]
    allowed = _ALLOWED.get(name)
    for child in inner:
        if allowed is not None and child[0] not in allowed:
            yield f"{child[0]} cannot stand in {name}"
        yield from declarative_faults(child, (*above, name))
    if name == "file" and names != ["pipeline"]:
        yield f"the file holds {names}, not one pipeline"
    if name == "stage" and sum(names.count(body) for body in ("steps", "stages", "parallel", "matrix")) != 1:
        yield f"a stage has {names}: it needs just one of steps, stages, parallel and matrix"
    if name in ("parallel", "matrix") and {"parallel", "matrix"} & set(above):
        yield f"{name} inside parallel or matrix"
    for once in set(names) - {"stage", "axis", "sh", "withCredentials", "string", "not", "branch"}:
        if allowed is not None and names.count(once) > 1:
            yield f"{once} twice in {name}"
