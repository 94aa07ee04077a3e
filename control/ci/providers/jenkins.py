"""Jenkins, as a declarative pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from control.ci.options import PipelineOptions
from control.ci.pipeline import Job, Pipeline, Stage
from control.ci.provider import Provider, render

_LABEL: Final = "linux"


class Jenkins(Provider):
    """`Jenkinsfile`."""

    name: ClassVar[str] = "jenkins"
    title: ClassVar[str] = "Jenkins"
    comment: ClassVar[str] = "//"

    def files(self, pipeline: Pipeline) -> Mapping[str, str]:
        """One file at the root of the repository."""
        options = pipeline.options
        self.oidc_only(options)

        def label(job: Job) -> str:
            return (options.gpu_runner if job.gpu else None) or options.runner or _LABEL

        def several(job: Job) -> bool:
            return job.every_python and len(options.python) > 1

        text = render(
            "Jenkinsfile",
            pipeline=pipeline,
            options=options,
            label=label,
            checks=[job for job in pipeline.of(Stage.CHECK) if not several(job)],
            on_every_python=[job for job in pipeline.jobs if several(job)],
            others=[job for job in pipeline.jobs if job.stage is not Stage.CHECK],
            credentials=_credentials(options),
        )
        return {"Jenkinsfile": text}


def _credentials(options: PipelineOptions) -> str:
    """Secrets of kind "secret text", bound for one step and masked in the log."""
    return ", ".join(
        f"string(credentialsId: '{name.lower().replace('_', '-')}', variable: '{variable}')"
        for name, variable in (
            (options.address_secret, "HEADGATE_ADMIN"),
            (options.token_secret, "HEADGATE_TOKEN"),
        )
    )
