"""The rules in force: which stages there are, what leads where, who must agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from config.registry import ARCHIVED, Registry, Stage, Versions
from control.errors import InvalidError, TransitionError

Direction = Literal["higher", "lower"]

# Whole words of a metric's name after which less is better, when the configuration says nothing.
_LOWER: Final = frozenset(
    {"bytes", "cost", "duration", "error", "errors", "fnr", "fpr", "latency", "loss", "mae", "mape", "mse"}
    | {"perplexity", "rmse", "seconds", "size", "time", "wer"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The section `registry` of the configuration in force, with what it says asked by question."""

    rules: Registry

    @classmethod
    def of(cls, section: Mapping[str, Any] | None) -> Policy:
        """The policy of a stored section; without one, of the defaults."""
        return cls(rules=Registry.model_validate(section or {}))

    @property
    def stages(self) -> Mapping[str, Stage]:
        return self.rules.effective_stages

    @property
    def initial(self) -> str:
        """Where a release begins."""
        return next(iter(self.stages))

    @property
    def aliases(self) -> dict[str, str]:
        """By alias, the stage that sets it."""
        return {stage.alias: name for name, stage in self.stages.items() if stage.alias is not None}

    def scheme(self, name: str) -> Versions:
        """How the versions of a model are read."""
        rules = self.rules.models.get(name)
        return (rules.versions if rules else None) or self.rules.versions

    def stage(self, name: str) -> Stage:
        """The stage of this name.

        Raises:
            InvalidError: there is none.
        """
        found = self.stages.get(name)
        if found is None:
            raise InvalidError(f"there is no stage {name!r}", f"use one of: {', '.join(self.stages)}")
        return found

    def check_move(self, label: str, here: str, there: str) -> None:
        """Refuse a change of stage that the graph does not have.

        Raises:
            InvalidError: there is no such stage.
            TransitionError: it cannot be reached from here.
        """
        self.stage(there)
        # A stage that the configuration no longer has may be left for any other.
        possible = self.stages[here].to if here in self.stages else tuple(self.stages)
        if there == here:
            raise TransitionError(f"{label} is in {here} already", f"it can go to {_listed(possible)}")
        if there not in possible:
            raise TransitionError(
                f"{label} cannot go from {here} to {there}", f"it can go to {_listed(possible)}"
            )

    def place_of_the_displaced(self, stage: str) -> str:
        """Where a release goes that another one takes the place of."""
        return ARCHIVED if stage != ARCHIVED else self.initial

    def direction(self, name: str, metric: str) -> Direction:
        """Whether more or less of a metric is better: as configured, else by the words in its name."""
        rules = self.rules.models.get(name)
        if rules is not None and metric in rules.lower_is_better:
            return "lower"
        if rules is not None and metric in rules.higher_is_better:
            return "higher"
        words = metric.lower().replace("-", "_").replace(".", "_").replace("/", "_").split("_")
        return "lower" if _LOWER & set(words) else "higher"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "no other stage"
