"""What may stand in a generated pipeline: every value is allow-listed before it comes near a template."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from config.values import InvalidValueError

# A pipeline is read by YAML or Groovy, then by the platform's own expressions, then by a shell. No value but
# a command holds a character that means something to any of the three, so none can change the structure.


def _matching(pattern: str, what: str, example: str) -> Any:
    compiled: Final = re.compile(pattern)

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise InvalidValueError.about(value, f"is not {what}", f"write one such as {example}, in quotes")
        if not compiled.fullmatch(value):
            raise InvalidValueError.about(value, f"is not {what}", f"write one such as {example}")
        return value

    return BeforeValidator(parse)


ModelName = Annotated[
    str, _matching(r"[A-Za-z][A-Za-z0-9._-]{0,62}[A-Za-z0-9]", "the name of a model", "fraud-detector")
]
"""A model's name in the registry."""

PlainName = Annotated[
    str, _matching(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?", "a plain name", "production")
]
"""A route, an environment, an alias."""

Branch = Annotated[
    str, _matching(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]|/(?=[A-Za-z0-9_])){0,200}", "the name of a branch", "main")
]
"""A branch, without wildcards."""

SecretName = Annotated[
    str,
    _matching(r"(?!GITHUB_|CI_|SYSTEM_)[A-Z][A-Z0-9_]{0,63}", "the name of a secret", "HEADGATE_TOKEN"),
]
"""The name under which a platform keeps a secret; never the secret itself."""

RunnerLabel = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "the label of a runner", "ubuntu-24.04")
]
"""A label by which a platform chooses a machine."""

PythonVersion = Annotated[
    str, _matching(r"3\.(?:1[1-9]|[2-9][0-9])", "a version of Python from 3.11 on", "'3.12'")
]
"""A minor version of Python, as text because 3.10 as a number is 3.1."""

Requirement = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?(?:\[[A-Za-z0-9][A-Za-z0-9,._-]{0,62}\])?"
        r"(?:(?:==|~=|!=|>=|<=|<|>)[A-Za-z0-9][A-Za-z0-9.+*]{0,30}"
        r"(?:,(?:==|~=|!=|>=|<=|<|>)[A-Za-z0-9][A-Za-z0-9.+*]{0,30}){0,4})?",
        "a requirement",
        "pandas>=2.2,<3",
    ),
]
"""A distribution for pip, with versions but without addresses and options."""

Threshold = Annotated[
    str,
    _matching(
        r"[A-Za-z][A-Za-z0-9_.-]{0,62}(?:>=|<=|>|<)-?\d{1,12}(?:\.\d{1,12})?",
        "a condition on a metric",
        "accuracy>=0.92",
    ),
]
"""What an offline metric has to satisfy."""

Cron = Annotated[
    str,
    _matching(r"[0-9*/,-]{1,20}(?: [0-9*/,-]{1,20}){4}", "a schedule of five fields", "'17 5 * * 1'"),
]
"""When something runs: minute, hour, day of the month, month, day of the week."""


def parse_file(value: object) -> str:
    """A path inside the repository."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_./-]{0,254}", value):
        raise InvalidValueError.about(
            value, "is not a path in the repository", "write one such as model/v2.onnx"
        )
    if ".." in value.split("/"):
        raise InvalidValueError.about(value, "leads out of the repository", "write it without ..")
    return value


RepositoryPath = Annotated[str, BeforeValidator(parse_file)]
"""A file or folder, relative to the root of the repository."""


def parse_image(value: object) -> str:
    """A container image that always means the same one."""
    pattern = r"[a-z0-9][a-z0-9._/-]{0,200}(?::[0-9]{1,5}/[a-z0-9._/-]{1,200})?(?::[A-Za-z0-9._-]{1,128})?"
    if not isinstance(value, str) or not re.fullmatch(pattern + r"(?:@sha256:[0-9a-f]{64})?", value):
        raise InvalidValueError.about(
            value, "is not a container image", "write NAME:TAG or NAME@sha256:DIGEST"
        )
    tag = value.partition("@")[0].rpartition(":")[2]
    if "@" not in value and not re.search(r"\d+\.\d+\.\d+", tag):
        raise InvalidValueError.about(
            value,
            "can mean another image tomorrow",
            "name a full version or a digest: python:3.12.11-slim-bookworm",
        )
    return value


Image = Annotated[str, BeforeValidator(parse_image)]
"""A container image with a full version or a digest."""

# Each platform has its own way to compute a text before a shell sees it; in a command, it would run with the
# pipeline's rights and could not be quoted.
_EXPANDED_EARLY: Final = ("${{", "$[", "$(")
_HIDES_FAILURE: Final = re.compile(r"\|\|\s*(?:true\b|:(?!\S)|exit\s+0)|;\s*(?:true|:)\s*$")
_PIPED_DOWNLOAD: Final = re.compile(r"\b(?:curl|wget)\b.*\|\s*(?:sudo\s+)?(?:[a-z]*sh|python[0-9.]*)\b")


def parse_command(value: object) -> str:
    """One line for a shell.

    Raises:
        InvalidValueError: it is more than one line, a platform would expand a part of it before the shell,
            or it hides its own failure.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidValueError.about(
            value, "is not a command", "write one line such as: python -m pytest tests"
        )
    if not value.isprintable() or len(value) > 1000:
        raise InvalidValueError.about(
            value,
            "is not one printable line of at most 1000 characters",
            "put it into a script and call that",
        )
    found = next((mark for mark in _EXPANDED_EARLY if mark in value), None)
    if found is not None:
        raise InvalidValueError.about(
            value,
            f"holds {found}, which CI platforms expand themselves",
            "put it into a script and call that",
        )
    if _HIDES_FAILURE.search(value):
        raise InvalidValueError.about(value, "hides its own failure", "let it fail; the pipeline stops then")
    if _PIPED_DOWNLOAD.search(value):
        raise InvalidValueError.about(value, "runs what it downloads", "install a pinned version instead")
    return value.strip()


Command = Annotated[str, BeforeValidator(parse_command)]
"""One line of shell."""
