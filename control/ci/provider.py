"""What a platform's file has to say, and how its templates are rendered."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from control.ci.options import PipelineOptions
from control.ci.pipeline import Pipeline
from control.errors import InvalidError

_INDENT: Final = " "


class UnsupportedOptionError(InvalidError):
    """A platform cannot do what was asked: which option, why, what would do."""

    def __init__(self, option: str, problem: str, remedy: str) -> None:
        super().__init__(f"{option}: {problem}", remedy)
        self.option = option


class Provider(ABC):
    """One platform. A new one is one file in `control/ci/providers` with its templates."""

    name: ClassVar[str]
    """As in `headgate ci generate NAME`."""
    title: ClassVar[str]
    """As people write it."""
    comment: ClassVar[str] = "#"
    """What begins a line of comment in its files."""

    @abstractmethod
    def files(self, pipeline: Pipeline) -> Mapping[str, str]:
        """Text by path in the repository, without the marker.

        Raises:
            UnsupportedOptionError: this platform cannot do what the options ask for.
        """

    def oidc_only(self, options: PipelineOptions, *supported: str) -> None:
        """Refuse an identity provider that this platform has no safe way to reach."""
        if options.oidc is not None and options.oidc.provider not in supported:
            remedy = (
                f"use one of {', '.join(supported)}"
                if supported
                else "keep the key as a secret and leave it out"
            )
            raise UnsupportedOptionError(
                "oidc.provider",
                f"{self.title} has no identity token for {options.oidc.provider} that could be used here",
                remedy,
            )


def render(template: str, **values: Any) -> str:
    """A template of `control/ci/templates` with its values; an undefined name is an error."""
    return _templates().get_template(template).render(**values)


@cache
def _templates() -> Environment:
    # Braces belong to the platforms: ${{ }}, {% %} and $[ ] stand for themselves.
    templates = Environment(
        loader=PackageLoader("control.ci", "templates"),
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - no HTML; the filters below quote for YAML and Groovy
    )
    templates.filters.update(
        quoted=quoted, block=block, flow=flow, groovy=groovy, groovy_block=groovy_block, chomp=chomp
    )
    return templates


def quoted(value: object) -> str:
    """A scalar that YAML reads as just this text: JSON's strings are YAML's double-quoted ones."""
    return json.dumps(str(value), ensure_ascii=True)


def flow(values: Any) -> str:
    """A list of such scalars on one line."""
    return f"[{', '.join(quoted(value) for value in values)}]"


def block(text: str, indent: int) -> str:
    """Lines of a YAML block scalar (`|`), each indented; no line of ours begins with a space or is empty."""
    return ("\n" + _INDENT * indent).join(text.rstrip("\n").split("\n"))


def groovy(value: object) -> str:
    """A Groovy string in single quotes, in which nothing is interpolated."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{text}'"


def groovy_block(text: str, indent: int) -> str:
    """Lines of a Groovy string in three single quotes, indented; it ends on a line of its own."""
    escaped = text.rstrip("\n").replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    return ("\n" + _INDENT * indent).join(escaped.split("\n"))


def chomp(text: str) -> str:
    """What a macro wrote, without the end of its last line: the template has one of its own."""
    return text.rstrip("\n")
