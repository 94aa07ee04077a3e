"""What is wrong with a configuration: where, what, and what would do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

# More are read by nobody; a generated file can have one in every line.
PROBLEMS_MAX: Final = 200

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One fault with its place; lines and columns count from 1, 0 means that no line applies."""

    file: str
    line: int
    column: int
    path: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        where = f"{self.path}: " if self.path else ""
        what = f"{self.problem}; {self.remedy}" if self.remedy else self.problem
        return f"{place}: {where}{what}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it, in file order."""

    def __init__(self, problems: Iterable[Problem], rest: object = None) -> None:
        """`rest`: a `Loaded` without the faulty keys, for checks that want to add their own; often None."""
        self.rest = rest
        found = sorted(problems)
        self.problems: list[Problem] = found[:PROBLEMS_MAX]
        if len(found) > PROBLEMS_MAX:
            self.problems.append(_more(found[PROBLEMS_MAX], len(found) - PROBLEMS_MAX))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _more(following: Problem, count: int) -> Problem:
    return Problem(
        file=following.file,
        line=following.line,
        column=following.column,
        path="",
        problem=f"{count} more problems from here on",
        remedy="correct those above first",
    )


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: ``routes[0].split.weight``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif text:
            text += f".{part}"
        else:
            text = part
    return text
