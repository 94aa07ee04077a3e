"""Reads YAML text into plain values and remembers where each of them stood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from yaml.error import Mark, MarkedYAMLError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.reader import ReaderError

from config.interpolate import interpolate
from config.problems import ConfigError, Path, Problem, dotted
from config.values import InvalidValueError
from config.yaml_core import CoreComposer, resolve_plain, short_tag

# Counted after aliases are followed: ten levels of ten aliases each would otherwise make 10^10.
VALUES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Line and column (from 1) of a value and, in a mapping, of its key."""

    value: tuple[int, int]
    key: tuple[int, int] | None
    scalar: bool
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The text that a configuration came from, as far as it is needed to name places."""

    file: str
    places: Mapping[Path, Place] = field(repr=False)
    labels: Mapping[Path, str] = field(default_factory=dict, repr=False)
    """Other names of paths, for a configuration that was not written as one; the longest prefix counts."""

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

    def variables(self, path: Path) -> tuple[str, ...]:
        """The environment variables that a value was made from; such a value is never shown."""
        place = self.places.get(path)
        return place.variables if place is not None else ()

    def problem(self, path: Path, problem: str, remedy: str, *, key: bool = False) -> Problem:
        """A problem at a path."""
        line, column = self.locate(path, key=key)
        return Problem(
            file=self.file, line=line, column=column, path=self.label(path), problem=problem, remedy=remedy
        )

    def path_of(self, text: str) -> Path:
        """The path that somebody without this text wrote as ``routes.0.split`` or ``routes[0].split``.

        Keys may have dots in them, so the longest beginning that is a path here is looked for; what is below
        it was not written and has no place of its own.
        """
        parts = text.replace("[", ".").replace("]", "").split(".") if text else []
        known = {".".join(map(str, path)): path for path in self.places}
        for length in range(len(parts), 0, -1):
            if (found := known.get(".".join(parts[:length]))) is not None:
                return (*found, *map(_part, parts[length:]))
        return tuple(map(_part, parts))

    def label(self, path: Path) -> str:
        """How a path is called in messages."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.labels:
                return self.labels[path[:length]]
        return dotted(path)


def _part(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Plain values, their places, and what was wrong without stopping the reading."""

    value: object
    source: Source
    problems: list[Problem]
    spoiled: list[Path]
    """The paths of the problems."""


def read_yaml(text: str, file: str, environ: Mapping[str, str]) -> Reading:
    """Read one YAML document and fill in the environment.

    Raises:
        ConfigError: the text is not YAML, holds nothing, or is built to exhaust memory.
    """
    root = _compose(text, file)
    walk = _Walk(file, environ)
    walk.places[()] = Place(value=_start(root), key=None, scalar=isinstance(root, ScalarNode))
    value = walk.value(root, ())
    source = Source(file=file, places=walk.places)
    return Reading(value=value, source=source, problems=walk.problems, spoiled=walk.spoiled)


def _compose(text: str, file: str) -> Node:
    try:
        root = CoreComposer(text).get_single_node()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError([_syntax(file, mark, error.problem or error.context or "unreadable")]) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        problem = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise ConfigError([_at(file, line, column, problem, "remove it")]) from None
    if root is None or (isinstance(root, ScalarNode) and not root.value):
        raise ConfigError([_at(file, 1, 1, "there is no configuration in it", "start from an example")])
    return root


def _syntax(file: str, mark: Mark | None, what: str) -> Problem:
    remedy = "correct it there or just above"
    if "'\\t'" in what:
        remedy = "indent with spaces, not tabs"
    elif "another document" in what:
        what, remedy = "a second document starts here", "keep one document in the file"
    elif what.endswith("got '{'"):
        remedy = "inside braces or brackets put ${...} in quotes, or write it on a line of its own"
    elif "undefined alias" in what:
        remedy = "define it with & before it is used, or put the text in quotes"
    return _at(
        file,
        mark.line + 1 if mark else 0,
        mark.column + 1 if mark else 0,
        f"not valid YAML: {what}",
        remedy,
    )


class _Walk:
    """Goes through the nodes once, and on after a problem so that all of them are found."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self.file = file
        self.environ = environ
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.spoiled: list[Path] = []
        self._open: list[Node] = []
        self._count = 0

    def value(self, node: Node, path: Path) -> object:
        self._tally(node)
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        with_pairs = isinstance(node, MappingNode)
        self._enter(node, path)
        try:
            return self._mapping(node, path) if with_pairs else self._sequence(node, path)
        finally:
            self._open.pop()

    def _sequence(self, node: Node, path: Path) -> list[object]:
        items: list[object] = []
        for i, child in enumerate(node.value):
            self.places[*path, i] = Place(value=_start(child), key=None, scalar=_is_scalar(child))
            items.append(self.value(child, (*path, i)))
        return items

    def _mapping(self, node: Node, path: Path) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, key_node, child in self._pairs(node, path):
            self.places[*path, key] = Place(
                value=_start(child), key=_start(key_node), scalar=_is_scalar(child)
            )
            result[key] = self.value(child, (*path, key))
        return result

    def _pairs(self, node: Node, path: Path) -> Iterator[tuple[str, Node, Node]]:
        """Keys and values of a mapping; its own come before those that `<<` brings in."""
        own: dict[str, Node] = {}
        merges: list[Node] = []
        for key_node, child in node.value:
            self._tally(key_node)
            if short_tag(key_node.tag) == "merge":
                merges.extend(child.value if isinstance(child, SequenceNode) else [child])
            elif not isinstance(key_node, ScalarNode):
                self._report(key_node, path, "a key is a structure", "use a word as the key")
            elif key_node.value in own:
                line, column = _start(own[key_node.value])
                problem = f"given twice, first at {line}:{column}"
                self._report(key_node, (*path, key_node.value), problem, "keep one of them")
            else:
                own[key_node.value] = key_node
                yield str(key_node.value), key_node, child
        for merged in merges:
            if not isinstance(merged, MappingNode):
                self._report(merged, path, "<< brings in something that is no mapping", "name a mapping")
                continue
            self._enter(merged, path)
            for key, key_node, child in self._pairs(merged, path):
                if key not in own:
                    own[key] = key_node
                    yield key, key_node, child
            self._open.pop()

    def _scalar(self, node: ScalarNode, path: Path) -> object:
        text, tag = str(node.value), short_tag(node.tag)
        try:
            filled = interpolate(text, self.environ)
        except InvalidValueError as error:
            self._report(node, path, error.problem, error.remedy)
            return None
        if filled.text != text:
            text = filled.text
            # Quotes keep text what it is; without them ${PORT} may become a number, as if written so.
            if node.style is None and tag == "str":
                tag = resolve_plain(text)
        if filled.variables and path in self.places:
            place = self.places[path]
            self.places[path] = Place(
                value=place.value, key=place.key, scalar=True, variables=filled.variables
            )
        return self._typed(node, path, tag, text)

    def _typed(self, node: ScalarNode, path: Path, tag: str, text: str) -> object:
        try:
            match tag:
                case "str" | "merge":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
                case "float":
                    return float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except (ValueError, KeyError):
            self._report(node, path, f"cannot be read as {tag}", "correct it")
            return None
        self._report(node, path, f"the tag {tag} is not supported", "remove the tag")
        return None

    def _enter(self, node: Node, path: Path) -> None:
        if any(node is other for other in self._open):
            line, column = _start(node)
            problem = f"{dotted(path) or 'the file'}: an alias stands inside what it repeats"
            raise ConfigError([_at(self.file, line, column, problem, "remove the alias")])
        self._open.append(node)

    def _tally(self, node: Node) -> None:
        self._count += 1
        if self._count > VALUES_MAX:
            line, column = _start(node)
            problem = f"more than {VALUES_MAX} values once aliases are followed"
            raise ConfigError([_at(self.file, line, column, problem, "use fewer aliases, or a smaller file")])

    def _report(self, node: Node, path: Path, problem: str, remedy: str) -> None:
        line, column = _start(node)
        self.spoiled.append(path)
        self.problems.append(
            Problem(
                file=self.file, line=line, column=column, path=dotted(path), problem=problem, remedy=remedy
            )
        )


def _is_scalar(node: Node) -> bool:
    return isinstance(node, ScalarNode)


def _start(node: Node) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1)


def _at(file: str, line: int, column: int, problem: str, remedy: str) -> Problem:
    return Problem(file=file, line=line, column=column, path="", problem=problem, remedy=remedy)
