"""Files become configurations, or one list of everything that is wrong with them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.load import FILE_BYTES_MAX, config_digest, load_file, load_text
from config.problems import ConfigError, Problem, dotted
from config.schema import Config
from tests.config.strategies import configs
from tests.config.text import SMALL, load, only_problem, problems


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_file(path, {})
    assert len(caught.value.problems) == 1
    return str(caught.value)


def test_a_file_is_loaded(tmp_path: Path) -> None:
    """Configuration, digest, places and directories come together."""
    path = tmp_path / "h.yaml"
    path.write_text(SMALL)

    loaded = load_file(path, {})

    assert loaded.config.routes[0].upstream == "v1"
    assert loaded.source.file == str(path)
    assert loaded.source.locate(("routes", 0, "upstream")) == (8, 15)
    assert loaded.digest == config_digest(loaded.config)
    assert loaded.digest.startswith("sha256:")
    assert len(loaded.digest) == 71
    assert loaded.state_directory == tmp_path / ".headgate"


def test_relative_paths_start_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command is run does not matter, and an absolute directory stays what it is."""
    (tmp_path / "h.yaml").write_text(SMALL + "state: {directory: here}\n")
    (tmp_path / "abs.yaml").write_text(SMALL + "state: {directory: /var/lib/x}\n")
    monkeypatch.chdir(tmp_path)

    assert load_file("h.yaml", {}).state_directory == tmp_path / "here"
    assert load_file("abs.yaml", {}).state_directory == Path("/var/lib/x")
    assert load_text(SMALL, file="x", environ={}).directory == tmp_path


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    """Some editors put one there."""
    path = tmp_path / "h.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())

    assert load_file(path, {}).config == load(SMALL).config


def test_a_missing_file(tmp_path: Path) -> None:
    """The usual slip has a short answer."""
    path = tmp_path / "no.yaml"

    assert refusal(path) == f"{path}: there is no such file; check the path"


def test_a_directory(tmp_path: Path) -> None:
    """A directory is not searched for a file."""
    assert refusal(tmp_path) == f"{tmp_path}: this is a directory; name a file in it"


@pytest.fixture
def not_root() -> Iterator[None]:
    """Root reads everything, so it becomes nobody for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_file_without_permission(tmp_path: Path, not_root: None) -> None:
    """The message says what is missing."""
    path = tmp_path / "h.yaml"

    with suppress(PermissionError):
        path.write_text(SMALL)
        path.chmod(0)

    assert refusal(path) == f"{path}: it may not be read; give this user permission to read it"


def test_a_path_that_is_none() -> None:
    """What the operating system refuses is reported, not raised."""
    with pytest.raises(ConfigError, match=r"it cannot be read: .*; check the path"):
        load_file("a\0b", {})
    with pytest.raises(ConfigError, match="it cannot be read: File name too long; check the path"):
        load_file("x" * 5000, {})


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """A model named by mistake is not read to its end."""
    path = tmp_path / "h.yaml"
    path.write_bytes(b"# " + b"x" * FILE_BYTES_MAX)

    assert (
        refusal(path) == f"{path}: it is larger than 1024 KiB; check that it is a configuration, or split it"
    )


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    """The first byte that is wrong is named, with columns counted in characters."""
    path = tmp_path / "h.yaml"
    path.write_bytes("a: 1\nä: ".encode() + b"\xe4\n")

    assert refusal(path) == f"{path}:2:4: byte 0xe4 is not UTF-8; save the file as UTF-8"


def test_an_empty_file(tmp_path: Path) -> None:
    """Nothing is not a configuration with defaults."""
    path = tmp_path / "h.yaml"
    path.write_text("")

    assert refusal(path) == f"{path}:1:1: there is no configuration in it; start from an example"


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file() -> None:
    """Problems of YAML, variables, values, keys and between parts are one list."""
    text = """\
listeners: [{bind: ":8080", bakclog: 3}]
admin: {bind: "0.0.0.0:8080"}
limits: {headers: "3"}
timeouts:
upstreams:
  v1: {endpoints: ["ftp://a:1", "${FOO}"]}
routes:
  - name: a
    upstream: v2
    name: b
    rollout: {steps: [5%, {wight: 1%}]}
"""
    assert problems(text) == [
        "h.yaml:1:29: listeners[0].bakclog: there is no such key; did you mean backlog?",
        "h.yaml:2:15: admin.bind: 0.0.0.0:8080 can be reached from outside, and no token guards it; bind to"
        " 127.0.0.1, or write admin.tokens in a configuration file",
        "h.yaml:2:15: admin.bind: 0.0.0.0:8080 is taken by the listener on 0.0.0.0:8080; use another port",
        "h.yaml:3:19: limits.headers: '3' is not a whole number; write one such as 8, without quotes",
        "h.yaml:4:10: timeouts: has no value; write one, or remove the key",
        "h.yaml:6:20: upstreams.v1.endpoints[0]: 'ftp://a:1' is not an http:// URL; write http://host:port",
        "h.yaml:6:33: upstreams.v1.endpoints[1]: the environment variable FOO is not set; set it, or write"
        " ${FOO:-default}",
        "h.yaml:9:15: routes[0].upstream: there is no upstream 'v2'; use one of: v1",
        "h.yaml:10:5: routes[0].name: given twice, first at 8:5; keep one of them",
        "h.yaml:11:28: routes[0].rollout.steps[1].wight: there is no such key; did you mean weight?",
    ]


@pytest.mark.parametrize("text", ["[]", "- a", "word", "12", "true"])
def test_a_file_that_holds_something_else(text: str) -> None:
    """A configuration is a mapping with these keys."""
    line = only_problem(text)

    assert line.startswith("h.yaml:1:1: ")
    assert "is not a mapping; write it with keys: listeners, admin, workers," in line


def test_what_a_variable_spoiled_is_reported_once() -> None:
    """That a value is missing because of its variable is not said a second time."""
    text = SMALL.replace('"127.0.0.1:8080"', "${BIND}").replace("upstream: v1", "upstream: ${UP}")

    assert problems(text) == [
        "h.yaml:2:11: listeners[0].bind: the environment variable BIND is not set; set it, or write"
        " ${BIND:-default}",
        "h.yaml:8:15: routes[0].upstream: the environment variable UP is not set; set it, or write"
        " ${UP:-default}",
    ]


def test_a_value_from_the_environment_is_never_shown() -> None:
    """It may be a secret that landed in the wrong place; the variable's name is enough."""
    text = (
        SMALL.replace('"127.0.0.1:8080"', "${SECRET}").replace("http://127.0.0.1:9001", "${SECRET}")
        + "workers: ${SECRET}\n"
        + "timeouts: {connect: '${SECRET}', total: '1${SECRET}s'}\n"
        + "limits: {head_bytes: '${SECRET}', headers: '${SECRET}'}\n"
        + "headers: {forwarded: '${SECRET}', request_id: '${SECRET}'}\n"
        + "startup: {require_upstreams: '${SECRET}'}\n"
        + "admin: {tokens: [{name: '${SECRET}', sha256: '${SECRET}', role: '${SECRET}'}]}\n"
    )
    found = problems(text, {"SECRET": "hunter two!"})

    assert len(found) == 13
    assert not any("hunter" in line or "two" in line for line in found)
    assert found[3].startswith("h.yaml:10:21: timeouts.connect: ${SECRET} is not a duration; write a number")


def test_a_number_from_a_variable_in_quotes_is_text() -> None:
    """Inside braces YAML needs the quotes, so the way out is a line of its own."""
    line = only_problem(SMALL + "limits: {headers: '${N}'}\n", {"N": "64"})

    assert line == (
        "h.yaml:9:19: limits.headers: ${N} is not a whole number; write it without quotes, on a line of"
        " its own"
    )
    assert load(SMALL + "limits:\n  headers: ${N}\n", {"N": "64"}).config.limits.headers == 64


def test_a_variable_inside_braces_without_quotes() -> None:
    """YAML takes the brace for its own; the error says what people see, not what YAML sees."""
    assert only_problem(SMALL + "limits: {headers: ${N}}\n", {"N": "64"}) == (
        "h.yaml:9:20: not valid YAML: expected ',' or '}', but got '{'; inside braces or brackets put ${...}"
        " in quotes, or write it on a line of its own"
    )


def test_a_token_in_place_of_its_digest_is_not_shown() -> None:
    """People paste the token itself; the error must not carry it into a log."""
    line = only_problem(SMALL + "admin: {tokens: [{name: a, sha256: my-real-token}]}\n")

    assert line == (
        "h.yaml:9:36: admin.tokens[0].sha256: not a SHA-256 in hexadecimal; write the 64 digits that"
        " `printf %s TOKEN | sha256sum` prints, never the token itself"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SMALL + "timeouts:\n", "h.yaml:9:10: timeouts: has no value; write one, or remove the key"),
        (SMALL + "workers: ~\n", "h.yaml:9:10: workers: has no value; write one, or remove the key"),
        (SMALL + "    match:\n", "h.yaml:9:11: routes[0].match: has no value; write one, or remove the key"),
        (
            SMALL.replace("upstream: v1", "split: {kind: x}\n    rollout:"),
            "h.yaml:9:13: routes[0].rollout: has no value; write one, or remove the key",
        ),
    ],
)
def test_a_key_without_a_value_is_refused(text: str, line: str) -> None:
    """A rollout whose keys are all commented out would silently be none."""
    assert only_problem(text) == line


def test_a_kinds_own_null_is_left_to_the_kind() -> None:
    """The schema does not know what a split means by it."""
    split = (
        load(SMALL.replace("upstream: v1", "split: {kind: x, salt: ~, deep: {a: ~}}")).config.routes[0].split
    )

    assert split is not None
    assert split.parameters == {"salt": None, "deep": {"a": None}}


def test_keys_for_anchors_are_ignored_at_the_top_only() -> None:
    """`x-` marks a place for what is used elsewhere."""
    text = "x-timeouts: &t {connect: 3s}\n" + SMALL + "timeouts: {<<: *t, total: 1m}\n"

    assert load(text).config.timeouts.connect == 3.0
    assert only_problem(SMALL + "timeouts: {x-a: 1}\n").startswith(
        "h.yaml:9:12: timeouts.x-a: there is no such key"
    )


def test_a_problem_found_later_has_a_place() -> None:
    """Kinds check their own parameters after loading and still name lines."""
    loaded = load(SMALL.replace("upstream: v1", "split: {kind: canary, weight: 5%}"))

    problem = loaded.problem(("routes", 0, "split", "weight"), "is odd", "make it even")
    absent = loaded.problem(("routes", 0, "split", "stable"), "is missing", "add it")

    assert str(problem) == "h.yaml:8:35: routes[0].split.weight: is odd; make it even"
    assert str(absent) == "h.yaml:8:5: routes[0].split.stable: is missing; add it"
    key = loaded.problem(("routes", 0, "split", "weight"), "is odd", "make it even", key=True)
    assert (key.line, key.column) == (8, 27)


@given(config=configs)
@settings(max_examples=40, deadline=None)
def test_the_digest_depends_on_the_meaning_only(config: Config) -> None:
    """Equal configurations have equal digests however they were written; a change has another."""
    again = Config.from_json(config.to_json())
    other = config.model_copy(update={"workers": 7 if config.workers != 7 else 8})

    assert config_digest(again) == config_digest(config)
    assert config_digest(other) != config_digest(config)


def test_the_digest_does_not_depend_on_the_form() -> None:
    """Comments, order of keys, units and anchors are form."""
    one = SMALL + "timeouts: {connect: 1500ms, total: 1m}\n"
    other = "# the same\ntimeouts: {total: 60, connect: 1.5s}\n" + SMALL

    assert load(one).digest == load(other).digest
    assert load(SMALL).digest == load(SMALL + "workers: 1\n").digest != load(SMALL + "workers: 2\n").digest


@given(text=st.text(max_size=60) | st.text(alphabet="a:-[]{}&*<!|>'\"#%@`, \n\t0", max_size=60))
@settings(max_examples=100, deadline=None)
def test_no_text_crashes_the_loader(text: str) -> None:
    """Whatever a file holds, there is a configuration or a list of problems with places."""
    with suppress(ConfigError):
        load_text(text, file="h.yaml", environ={})
        return

    found = problems(text)

    assert found
    assert all(re.match(r"h\.yaml:[1-9]\d*:[1-9]\d*: .+; .+", line) for line in found)


def test_problems_sort_by_place_and_read_as_one_line() -> None:
    """The list is read from top to bottom beside the file."""

    def problem(line: int, column: int) -> Problem:
        return Problem(file="f", line=line, column=column, path="a", problem="p", remedy="r")

    error = ConfigError([problem(10, 1), problem(2, 9), problem(2, 1)])

    assert [(each.line, each.column) for each in error.problems] == [(2, 1), (2, 9), (10, 1)]
    assert str(error).splitlines()[0] == "f:2:1: a: p; r"


def test_problems_without_end_are_counted() -> None:
    """A generated file with the same slip in every entry gives a list that can be read."""
    text = SMALL.replace('  - bind: "127.0.0.1:8080"\n', '  - bnd: "127.0.0.1:8080"\n' * 300)

    found = problems(text)

    assert len(found) == 201
    assert found[-1].endswith(": 100 more problems from here on; correct those above first")


def test_paths_are_written_as_people_write_them() -> None:
    """Positions in brackets, keys after dots."""
    assert dotted(("routes", 0, "match", "headers", "x-a")) == "routes[0].match.headers.x-a"
    assert dotted((0, "a")) == "[0].a"
    assert dotted(()) == ""
