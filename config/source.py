"""Reads YAML text into plain values and remembers where each of them stood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yaml.composer import Composer
from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from config.interpolate import interpolate
from config.problems import ConfigError, Path, Problem, dotted
from config.values import InvalidValueError

# Values after aliases are followed; ten nested aliases of ten each would otherwise make 10^10.
VALUES_MAX: Final = 200_000
# A configuration is about eight deep; recursion over nodes must end long before Python's own limit.
DEPTH_MAX: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Line and column (from 1) of a value and, in a mapping, of its key."""

    value: tuple[int, int]
    key: tuple[int, int] | None
    scalar: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text that a configuration came from, as far as it is needed to name places."""

    file: str
    places: Mapping[Path, Place] = field(repr=False)

    def locate(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of the value at a path, or of what is nearest above it; (0, 0) without text.

        Args:
            path: keys and positions from the top.
            key: name the place of the key rather than of its value.
        """
        for length in range(len(path), -1, -1):
            place = self.places.get(tuple(path[:length]))
            if place is None:
                continue
            if place.key is not None and (key or not place.scalar):
                return place.key
            return place.value
        return (0, 0)

    def problem(self, path: Path, problem: str, remedy: str, *, key: bool = False) -> Problem:
        """A problem at a path."""
        line, column = self.locate(path, key=key)
        return Problem(
            file=self.file, line=line, column=column, path=dotted(path), problem=problem, remedy=remedy
        )


class _Resolver(BaseResolver):
    """Types of plain scalars as YAML 1.2 has them: `no`, `on`, `1:30` and dates are strings."""


_RULES: Final = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("tag:yaml.org,2002:merge", r"<<", ["<"]),
)
for _tag, _pattern, _first in _RULES:
    _Resolver.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


class _Composer(Reader, Scanner, Parser, Composer, _Resolver):
    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise MarkedYAMLError(
                problem=f"nested more than {DEPTH_MAX} levels deep", problem_mark=self.get_mark()
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def read_yaml(text: str, file: str, environ: Mapping[str, str]) -> tuple[object, Source, list[Problem]]:
    """Plain values, their places, and the problems that did not stop the reading.

    Raises:
        ConfigError: the text is not YAML, or holds nothing.
    """
    root = _compose(text, file)
    reader = _Values(file, environ)
    value = reader.read(root)
    return value, Source(file=file, places=reader.places), reader.problems


def _compose(text: str, file: str) -> Node:
    try:
        loader = _Composer(text)
        root = loader.get_single_node()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "not YAML"
        raise ConfigError([_syntax(file, mark, what)]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        found = Problem(
            file=file,
            line=line,
            column=column,
            path="",
            problem=f"the character U+{ord(str(error.character)):04X} is not allowed in YAML",
            remedy="remove it, or escape it in a double-quoted string",
        )
        raise ConfigError([found]) from None
    if root is None:
        problem = "the file holds no configuration"
        remedy = "start from one of the examples"
        raise ConfigError([Problem(file=file, line=1, column=1, path="", problem=problem, remedy=remedy)])
    return root


def _syntax(file: str, mark: Mark | None, what: str) -> Problem:
    remedy = "correct the YAML there"
    if "\\t" in what:
        remedy = "indent with spaces, not tabs"
    elif "single document" in what:
        remedy = "keep one document in the file"
    return Problem(
        file=file,
        line=mark.line + 1 if mark else 0,
        column=mark.column + 1 if mark else 0,
        path="",
        problem=f"not valid YAML: {what}",
        remedy=remedy,
    )


class _Values:
    """Walks the nodes once; keeps going after a problem so that all of them are reported together."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._open: list[Node] = []
        self._count = 0

    def read(self, root: Node) -> object:
        self.places[()] = Place(value=_start(root), key=None, scalar=isinstance(root, ScalarNode))
        return self._value(root, ())

    def _value(self, node: Node, path: Path) -> object:
        self._count += 1
        if self._count > VALUES_MAX:
            raise ConfigError(
                [
                    self._problem(
                        node,
                        (),
                        f"aliases expand to more than {VALUES_MAX} values",
                        "write the values out, or use fewer aliases",
                    )
                ]
            )
        if any(node is other for other in self._open):
            raise ConfigError(
                [self._problem(node, path, "an alias stands inside what it repeats", "remove the alias")]
            )
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.append(node)
        try:
            return self._sequence(node, path) if isinstance(node, SequenceNode) else self._mapping(node, path)
        finally:
            self._open.pop()

    def _sequence(self, node: SequenceNode, path: Path) -> list[object]:
        items: list[object] = []
        for i, child in enumerate(node.value):
            self.places[*path, i] = Place(value=_start(child), key=None, scalar=isinstance(child, ScalarNode))
            items.append(self._value(child, (*path, i)))
        return items

    def _mapping(self, node: Node, path: Path) -> dict[str, object]:
        assert isinstance(node, MappingNode)
        result: dict[str, object] = {}
        seen: dict[str, Node] = {}
        merged: list[Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged.append(value_node)
                continue
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in seen:
                first_line, first_column = _start(seen[key])
                self.problems.append(
                    self._problem(
                        key_node,
                        (*path, key),
                        f"given twice, first on line {first_line}, column {first_column}",
                        "keep one of them",
                    )
                )
                continue
            seen[key] = key_node
            self._enter(result, key, key_node, value_node, path)
        for value_node in merged:
            self._merge(result, value_node, path)
        return result

    def _merge(self, result: dict[str, object], node: Node, path: Path) -> None:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self.problems.append(
                    self._problem(source, path, "<< merges something that is no mapping", "merge a mapping")
                )
                continue
            places = dict(self.places)
            values = self._value(source, path)
            assert isinstance(values, dict)
            added = self.places
            self.places = places
            for key, value in values.items():
                if key in result:
                    continue
                result[key] = value
                prefix = (*path, key)
                places.update({p: place for p, place in added.items() if p[: len(prefix)] == prefix})

    def _enter(self, result: dict[str, object], key: str, key_node: Node, node: Node, path: Path) -> None:
        self.places[*path, key] = Place(
            value=_start(node), key=_start(key_node), scalar=isinstance(node, ScalarNode)
        )
        result[key] = self._value(node, (*path, key))

    def _key(self, node: Node, path: Path) -> str | None:
        if not isinstance(node, ScalarNode):
            self.problems.append(
                self._problem(node, path, "a key is not a plain word", "use a word as the key")
            )
            return None
        return str(node.value)

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        text, tag = str(node.value), str(node.tag)
        try:
            interpolated = interpolate(text, self.environ)
        except InvalidValueError as fault:
            self.problems.append(self._problem(node, path, fault.problem, fault.remedy))
            return None
        if interpolated.text != text or interpolated.variables:
            text = interpolated.text
            if node.style is None and tag in _PLAIN_TAGS:
                tag = str(_RESOLVE.resolve(ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]
        return self._typed(node, path, tag, text)

    def _typed(self, node: ScalarNode, path: Path, tag: str, text: str) -> object:
        match tag.removeprefix("tag:yaml.org,2002:"):
            case "str" | "merge":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" if len(text) <= 40:
                return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
            case "float" if len(text) <= 40:
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
            case "int" | "float":
                self.problems.append(self._problem(node, path, "the number is too long", "shorten it"))
            case _:
                self.problems.append(
                    self._problem(node, path, f"the tag {tag} is not supported", "remove the tag")
                )
        return None

    def _problem(self, node: Node, path: Path, problem: str, remedy: str) -> Problem:
        line, column = _start(node)
        return Problem(
            file=self.file, line=line, column=column, path=dotted(path), problem=problem, remedy=remedy
        )


_RESOLVE: Final = _Resolver()
_PLAIN_TAGS: Final = frozenset(tag for tag, _, _ in _RULES) | {"tag:yaml.org,2002:str"}


def _start(node: Node) -> tuple[int, int]:
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1)
