"""Azure Pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from control.ci.pipeline import Job, Pipeline, Stage, When
from control.ci.provider import Provider, render

_IMAGE: Final = "ubuntu-24.04"
_SETUP: Final = ".azure/headgate-setup.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureStage:
    """Jobs that Azure shows as one stage; a place where a release goes is a stage of its own."""

    id: str
    title: str
    when: When
    jobs: tuple[Job, ...]
    needs: tuple[str, ...]


class Azure(Provider):
    """`azure-pipelines.yml`, and the steps that all of its jobs begin with as a template."""

    name: ClassVar[str] = "azure"
    title: ClassVar[str] = "Azure Pipelines"

    def files(self, pipeline: Pipeline) -> Mapping[str, str]:
        """The pipeline and its template."""
        options = pipeline.options
        self.oidc_only(options, "azure")

        def pool(job: Job) -> tuple[str, str]:
            own = (options.gpu_runner if job.gpu else None) or options.runner
            return ("vmImage", _IMAGE) if own is None else ("name", own)

        text = render(
            "azure.yml",
            pipeline=pipeline,
            options=options,
            stages=_stages(pipeline),
            branches=[f"refs/heads/{branch}" for branch in options.branches],
            setup=f"/{_SETUP}",
            pool=pool,
        )
        return {"azure-pipelines.yml": text, _SETUP: render("azure-setup.yml", options=options)}


def _stages(pipeline: Pipeline) -> list[AzureStage]:
    groups: dict[str, list[Job]] = {}
    for job in pipeline.jobs:
        own = job.stage is Stage.RELEASE
        groups.setdefault(job.id if own else job.stage.value, []).append(job)
    stage_of = {job.id: name for name, jobs in groups.items() for job in jobs}
    return [
        AzureStage(
            id=name,
            title=jobs[0].title if jobs[0].stage is Stage.RELEASE else name.capitalize(),
            when=jobs[0].when,
            jobs=tuple(jobs),
            needs=tuple(
                dict.fromkeys(stage_of[need] for job in jobs for need in job.needs if stage_of[need] != name)
            ),
        )
        for name, jobs in groups.items()
    ]
