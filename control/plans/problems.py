"""What is wrong with a rollout section that no plan can be made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProblem:
    """Something wrong with a rollout section, at a path below it."""

    path: Path
    problem: str
    remedy: str


class PlanError(ValueError):
    """A rollout section that no plan can be made of."""

    def __init__(self, problems: Iterable[PlanProblem]) -> None:
        self.problems = list(problems)
        super().__init__(
            "\n".join(
                f"{'.'.join(map(str, problem.path)) or 'rollout'}: {problem.problem}; {problem.remedy}"
                for problem in self.problems
            )
        )
