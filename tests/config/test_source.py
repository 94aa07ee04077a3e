"""YAML becomes plain values with places; what is dangerous or ambiguous in it is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings

from config.problems import ConfigError
from config.source import VALUES_MAX, Reading, Source, read_yaml
from config.yaml_core import DEPTH_MAX
from tests.config.strategies import plain_configs


def read(text: str, **environ: str) -> Reading:
    return read_yaml(text, "h.yaml", environ)


def values(text: str, **environ: str) -> Any:
    reading = read(text, **environ)
    assert reading.problems == []
    return reading.value


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2025-01-01", "2025-01-01"),
        ("1_000", "1_000"),
        ("012", 12),
        ("0o17", 15),
        ("0xff", 255),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"12"', "12"),
        ("!!str 12", "12"),
        ('!!int "12"', 12),
        ("5%", "5%"),
        (":8080", ":8080"),
    ],
)
def test_plain_words_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    """`no` is a country and `1:30` a time; neither becomes a boolean or a number."""
    found = values(f"key: {text}")["key"]

    assert found == value
    assert type(found) is type(value)


def test_every_value_has_a_place() -> None:
    """Scalars are found where they start, collections at their key, and what is absent at what is above."""
    source = read("a: 1\nb:\n  - x\n  - {c: 2}\n").source

    assert source.locate(("a",)) == (1, 4)
    assert source.locate(("a",), key=True) == (1, 1)
    assert source.locate(("b",)) == (2, 1)
    assert source.locate(("b", 0)) == (3, 5)
    assert source.locate(("b", 1, "c")) == (4, 9)
    assert source.locate(("b", 1, "missing", "deeper")) == (4, 5)
    assert source.locate(()) == (1, 1)


@given(plain=plain_configs())
@settings(max_examples=20, deadline=None)
def test_every_path_of_a_configuration_is_located(plain: dict[str, Any]) -> None:
    """No value is without a line, so every later complaint has one."""
    from config.render import to_line

    reading = read(to_line(plain).replace("${", "$${"))

    def check(value: object, path: tuple[str | int, ...]) -> None:
        assert path in reading.source.places
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, item in items:
            check(item, (*path, key))

    assert reading.value == plain
    check(reading.value, ())


def test_a_path_in_one_word_is_found_again() -> None:
    """Also where keys have dots in them, and where what it names was not written."""
    source = read("upstreams:\n  model.v1:\n    endpoints: [a]\nroutes: [{rollout: {steps: 1}}]\n").source

    for text, path in (
        ("upstreams.model.v1.endpoints.0", ("upstreams", "model.v1", "endpoints", 0)),
        ("routes[0].rollout.steps", ("routes", 0, "rollout", "steps")),
        ("routes.0.rollout.steps.2.weight", ("routes", 0, "rollout", "steps", 2, "weight")),
        ("elsewhere.7", ("elsewhere", 7)),
        ("", ()),
    ):
        assert source.path_of(text) == path
    assert source.locate(source.path_of("routes.0.rollout.steps.2")) == (4, 28)


def test_a_source_without_text_has_no_lines() -> None:
    """A configuration from flags is located by names instead."""
    source = Source(file="flags", places={}, labels={("a", "b"): "--b"})

    assert source.locate(("a",)) == (0, 0)
    assert str(source.problem(("a", "b", 0), "is bad", "fix it")) == "flags: --b: is bad; fix it"
    assert str(source.problem(("c", 0), "is bad", "")) == "flags: c[0]: is bad"


def test_a_key_that_is_given_twice_names_both_places() -> None:
    """The first value stays, so that nothing else is reported because of it."""
    reading = read("a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}\n")

    assert [str(problem) for problem in reading.problems] == [
        "h.yaml:3:1: a: given twice, first at 1:1; keep one of them",
        "h.yaml:4:11: c.d: given twice, first at 4:5; keep one of them",
    ]
    assert reading.value == {"a": 1, "b": 2, "c": {"d": 1}}


def test_merged_keys_give_way_to_own_ones() -> None:
    """`<<` fills in what is not there, wherever it stands, and places point to where a value was written."""
    text = (
        "base: &base {a: 1, b: 2}\n"
        "other: &other\n  b: 3\n  c: 4\n"
        "both:\n  <<: [*base, *other]\n  a: 9\n"
        "nested:\n  <<: {<<: *other, d: 5}\n"
    )
    reading = read(text)

    assert reading.problems == []
    assert reading.value == {
        "base": {"a": 1, "b": 2},
        "other": {"b": 3, "c": 4},
        "both": {"a": 9, "b": 2, "c": 4},
        "nested": {"b": 3, "c": 4, "d": 5},
    }
    assert reading.source.locate(("both", "a")) == (7, 6)
    assert reading.source.locate(("both", "b")) == (1, 23)
    assert reading.source.locate(("both", "c")) == (4, 6)


def test_what_cannot_be_merged_is_refused() -> None:
    """`<<` takes mappings."""
    reading = read("a: {<<: 3}\nb: {<<: [4]}\n")

    assert [str(problem) for problem in reading.problems] == [
        "h.yaml:1:9: a: << brings in something that is no mapping; name a mapping",
        "h.yaml:2:10: b: << brings in something that is no mapping; name a mapping",
    ]


def test_a_structure_as_a_key_is_refused() -> None:
    """Keys are words."""
    reading = read("a:\n  ? [x, y]\n  : 1\n  b: 2\n")

    assert [str(problem) for problem in reading.problems] == [
        "h.yaml:2:5: a: a key is a structure; use a word as the key"
    ]
    assert reading.value == {"a": {"b": 2}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "a: !!python/object:os.system x",
            "h.yaml:1:4: a: the tag python/object:os.system is not supported;",
        ),
        ("a: !mine x", "h.yaml:1:4: a: the tag !mine is not supported; remove the tag"),
        ("a: !!binary aGk=", "h.yaml:1:4: a: the tag binary is not supported; remove the tag"),
        ("a: !!int x", "h.yaml:1:4: a: cannot be read as int; correct it"),
        ("a: !!bool x", "h.yaml:1:4: a: cannot be read as bool; correct it"),
        (f"a: {'9' * 5000}", "h.yaml:1:4: a: cannot be read as int; correct it"),
    ],
)
def test_tags_make_no_objects(text: str, line: str) -> None:
    """Only the types of a configuration exist."""
    (problem,) = read(text).problems

    assert str(problem).startswith(line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "a: [1",
            "h.yaml:1:6: not valid YAML: expected ',' or ']', but got '<stream end>'; correct it there",
        ),
        (
            "a: b: c",
            "h.yaml:1:5: not valid YAML: mapping values are not allowed here; correct it there or just",
        ),
        (
            "a:\n\t- b",
            "h.yaml:2:1: not valid YAML: found character '\\t' that cannot start any token; indent with",
        ),
        (
            "a: 'x",
            "h.yaml:1:6: not valid YAML: found unexpected end of stream; correct it there or just above",
        ),
        (
            "a: *b",
            "h.yaml:1:4: not valid YAML: found undefined alias 'b'; define it with & before it is used",
        ),
        (
            "a: 1\n---\nb: 2",
            "h.yaml:2:1: not valid YAML: a second document starts here; keep one document in",
        ),
        ("a: \x01", "h.yaml:1:4: the character U+0001 is not allowed in YAML; remove it"),
        ("b: 1\na: \x7f", "h.yaml:2:4: the character U+007F is not allowed in YAML; remove it"),
        ("", "h.yaml:1:1: there is no configuration in it; start from an example"),
        ("# nothing\n", "h.yaml:1:1: there is no configuration in it; start from an example"),
        ("---\n", "h.yaml:1:1: there is no configuration in it; start from an example"),
    ],
)
def test_what_is_not_yaml_is_one_error(text: str, line: str) -> None:
    """The place of the fault, what it is, and how people usually get there."""
    message = refusal(text)

    assert message.startswith(line)
    assert "\n" not in message


def test_aliases_that_multiply_are_stopped() -> None:
    """Nine lines cannot become a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    start = time.process_time()

    message = refusal("\n".join(lines))

    assert message.startswith("h.yaml:")
    assert f"more than {VALUES_MAX} values once aliases are followed; use fewer aliases" in message
    assert time.process_time() - start < 10


def test_merges_that_multiply_are_stopped() -> None:
    """The same through `<<`."""
    lines = [f"a0: &a0 {{{', '.join(f'k{i}: 1' for i in range(50))}}}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 9)]

    assert f"more than {VALUES_MAX} values" in refusal("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a [*a]", "h.yaml:1:4: a[0]: an alias stands inside what it repeats; remove the alias"),
        ("a: &a {b: {c: *a}}", "h.yaml:1:4: a.b.c: an alias stands inside what it repeats; remove the alias"),
        ("a: &a {<<: *a}", "h.yaml:1:4: a: an alias stands inside what it repeats; remove the alias"),
    ],
)
def test_an_alias_inside_itself_is_refused(text: str, line: str) -> None:
    """Following it would never end."""
    assert refusal(text) == line


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000 + "x"])
def test_depth_is_bounded(text: str) -> None:
    """Depth beyond any configuration is one error, not a crash of the interpreter."""
    assert f"nested more than {DEPTH_MAX} levels deep; correct it" in refusal(text)


def test_a_variable_is_typed_as_if_it_had_been_written() -> None:
    """Without quotes it may be a number; in quotes it is text."""
    text = "a: ${N}\nb: '${N}'\nc: ${N}ms\nd: ${T}\ne: ${E}\nf: ${N:-7}\ng: ${M:-true}"

    assert values(text, N="4", T="true", E="") == {
        "a": 4,
        "b": "4",
        "c": "4ms",
        "d": True,
        "e": None,
        "f": 4,
        "g": True,
    }


@pytest.mark.parametrize(
    "hostile",
    ["{x: 1}", "[1, 2]", "a\nrole: admin", "*alias", "&anchor x", "# gone", "x: y", "- x", "!!int 3", "'"],
)
def test_a_variable_cannot_add_structure(hostile: str) -> None:
    """Whatever the environment holds, it stays one scalar."""
    assert values("a: ${V}\nb: 2", V=hostile) == {"a": hostile, "b": 2}


def test_variables_in_keys_stay_as_they_are() -> None:
    """Only values come from the environment."""
    assert values("${A}: 1", A="x") == {"${A}": 1}


def test_the_variables_of_a_value_are_known() -> None:
    """So that messages can name them instead of showing what they hold."""
    source = read("a: [x, '${A}-${B:-1}']\nb: $${A}", A="1").source

    assert source.variables(("a", 1)) == ("A", "B")
    assert source.variables(("a", 0)) == ()
    assert source.variables(("b",)) == ()
    assert source.variables(("nowhere",)) == ()


def test_a_missing_variable_has_a_place_and_does_not_stop_the_reading() -> None:
    """Two missing variables are two problems."""
    reading = read("a: ${X}\nb: {c: ['${Y}']}\n")

    assert [str(problem) for problem in reading.problems] == [
        "h.yaml:1:4: a: the environment variable X is not set; set it, or write ${X:-default}",
        "h.yaml:2:9: b.c[0]: the environment variable Y is not set; set it, or write ${Y:-default}",
    ]
    assert reading.spoiled == [("a",), ("b", "c", 0)]
