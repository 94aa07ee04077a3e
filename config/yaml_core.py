"""YAML with the types of YAML 1.2: `no`, `on`, `1:30` and dates are text."""

from __future__ import annotations

import re
from typing import Any, Final

from yaml.composer import Composer
from yaml.emitter import Emitter
from yaml.error import MarkedYAMLError
from yaml.nodes import Node, ScalarNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.representer import SafeRepresenter
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner
from yaml.serializer import Serializer

# A configuration is about eight deep; composing recurses, so it must end long before Python's limit.
DEPTH_MAX: Final = 50
_TAG: Final = "tag:yaml.org,2002:"


class _Resolver(BaseResolver):
    """Which type a plain scalar has (YAML 1.2.2, 10.3.2, and the merge key of YAML 1.1)."""


_RULES: Final = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)
for _name, _pattern, _first in _RULES:
    _Resolver.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)
_PLAIN: Final = _Resolver()


def resolve_plain(text: str) -> str:
    """The short name of the type of an unquoted scalar: null, bool, int, float, merge or str."""
    return short_tag(_PLAIN.resolve(ScalarNode, text, (True, False)))  # type: ignore[no-untyped-call]


def short_tag(tag: object) -> str:
    """A tag without the prefix that YAML's own types share."""
    return str(tag).removeprefix(_TAG)


class CoreComposer(Reader, Scanner, Parser, Composer, _Resolver):
    """Text to a tree of nodes with marks, of bounded depth."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """One node and all below it."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            problem = f"nested more than {DEPTH_MAX} levels deep"
            raise MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class CoreDumper(Emitter, Serializer, SafeRepresenter, _Resolver):
    """Plain values to text that ``CoreComposer`` reads back as the same values."""

    def __init__(self, stream: Any, *, width: int, flow: bool | None) -> None:
        Emitter.__init__(self, stream, width=width, allow_unicode=True)
        Serializer.__init__(self)
        # None writes only the innermost collections in one line, which the stubs do not know.
        SafeRepresenter.__init__(self, default_flow_style=flow, sort_keys=False)  # type: ignore[arg-type]
        _Resolver.__init__(self)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is the library's
        """Write equal values out each time; aliases are hard to read."""
        return True
