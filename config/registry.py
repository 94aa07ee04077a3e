"""The part of the schema that governs the registry: stages, approvals, and where artifacts are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from config.base import Fault, Model, as_tuple, refuse, repeated
from config.fields import Name, PositiveDuration, Role, Text

Versions = Literal["semantic", "opaque"]
ARCHIVED: Final = "archived"
PRODUCTION: Final = "production"


class StageApproval(Model):
    """Who must agree before a release may enter a stage."""

    quorum: Annotated[int, Field(ge=1, le=20)] = 1
    """How many people must approve; whoever asks is never one of them."""
    reviewers: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(max_length=100)] = ()
    """The people who may approve; none = everyone whose role is `approver` or `admin`."""
    expires: PositiveDuration = 604800.0
    """How long a request, and what it granted, lasts."""

    @model_validator(mode="after")
    def _enough(self) -> Self:
        faults = repeated("reviewers", self.reviewers)
        if self.reviewers and len(self.reviewers) < self.quorum:
            problem = f"{len(self.reviewers)} reviewers can never be {self.quorum} approvals"
            faults.append(Fault(path=("quorum",), problem=problem, remedy="name more reviewers"))
        refuse("approval", faults)
        return self


class Stage(Model):
    """Where a release may run, and what it takes to get there."""

    to: Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(max_length=32)] = ()
    """The stages a release may go to from here."""
    single: bool = False
    """Whether one release of a model may be in it at a time; the one before is kept to go back to."""
    alias: Name | None = None
    """An alias that always names the release in this stage; only where there is a single one."""
    approval: StageApproval | None = None
    """What it takes to enter; left out = nobody needs to agree."""


class ModelRules(Model):
    """What holds for the releases of one model."""

    versions: Versions | None = None
    """How its versions are read; left out = as for all."""
    lower_is_better: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), Field(max_length=100)] = ()
    """Metrics of which less is better."""
    higher_is_better: Annotated[tuple[Text, ...], BeforeValidator(as_tuple), Field(max_length=100)] = ()
    """Metrics of which more is better."""


DEFAULT_STAGES: Final[Mapping[str, Stage]] = {
    "development": Stage(to=("staging", ARCHIVED)),
    "staging": Stage(to=(PRODUCTION, "development", ARCHIVED)),
    PRODUCTION: Stage(to=("staging", ARCHIVED), single=True, alias="prod", approval=StageApproval()),
    ARCHIVED: Stage(to=("development", "staging")),
}


class Registry(Model):
    """Releases, the stages they pass, and who must agree."""

    artifacts: Annotated[Text, Field(min_length=1, max_length=1024)] = "artifacts"
    """A directory, relative to `state.directory`, for artifacts, or an `s3://`, `gs://`, `az://` URL."""
    versions: Versions = "semantic"
    """`semantic` puts 1.9.0 before 1.10.0; `opaque` takes any word, in order of time."""
    stages: Annotated[dict[Name, Stage], Field(max_length=32)] = Field(default_factory=dict)
    """Stages by name, the first is where releases begin; none = the four described in docs/registry.md."""
    models: Annotated[dict[Name, ModelRules], Field(max_length=1000)] = Field(default_factory=dict)
    """Rules of single models."""
    break_glass: Role = "approver"
    """The lowest role that may let a release in without approval, for a reason; raises a critical event."""

    @property
    def effective_stages(self) -> Mapping[str, Stage]:
        """The stages in force."""
        return self.stages or DEFAULT_STAGES

    @model_validator(mode="after")
    def _connected(self) -> Self:
        refuse("registry", _stage_faults(self.stages))
        return self


def _stage_faults(stages: Mapping[str, Stage]) -> list[Fault]:
    faults: list[Fault] = []
    if stages and ARCHIVED not in stages:
        problem = f"there is no stage {ARCHIVED}, and old releases need a place"
        faults.append(Fault(path=("stages",), problem=problem, remedy=f"add {ARCHIVED}: {{}}"))
    aliases: dict[str, str] = {}
    for name, stage in stages.items():
        faults += [
            Fault(
                path=("stages", name, "to", i),
                problem=f"there is no stage {target!r}",
                remedy=f"use one of: {', '.join(stages)}",
            )
            for i, target in enumerate(stage.to)
            if target not in stages
        ]
        if stage.alias is None:
            continue
        if not stage.single:
            problem = "an alias names one release, and this stage may hold several"
            faults.append(Fault(path=("stages", name, "alias"), problem=problem, remedy="add single: true"))
        if stage.alias in aliases:
            problem = f"stage {aliases[stage.alias]} has the same alias"
            faults.append(Fault(path=("stages", name, "alias"), problem=problem, remedy="choose another"))
        aliases.setdefault(stage.alias, name)
    return faults
