"""GitHub Actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from control.ci.pipeline import Job, Pipeline, When
from control.ci.provider import Provider, render

# By commit, because a tag can be moved by whoever takes over the action; the version is for people.
ACTIONS: Final[Mapping[str, str]] = {
    "checkout": "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2",
    "python": "actions/setup-python@a309ff8b426b58ec0e2a45f0f869d46889d02405 # v6.2.0",
    "upload": "actions/upload-artifact@b7c566a772e6b6bfb58ed0dc250532a479d7789f # v6.0.0",
    "aws": "aws-actions/configure-aws-credentials@b47578312673ae6fa5b5096b330d9fbac3d116df # v4.2.1",
    "azure": "azure/login@a457da9ea143d694b1b9c7c869ebb04ebe844ef5 # v2.3.0",
    "gcp": "google-github-actions/auth@ba79af03959ebeac9769e648f473a284504d9193 # v2.1.10",
}
_RUNNER: Final = "ubuntu-24.04"
_CONDITIONS: Final = {
    When.CHANGE: "github.event_name != 'schedule'",
    When.RELEASE: "github.event_name == 'push'",
    When.SCHEDULE: "github.event_name == 'schedule'",
}


class GitHub(Provider):
    """A workflow in `.github/workflows`."""

    name: ClassVar[str] = "github"
    title: ClassVar[str] = "GitHub Actions"

    def files(self, pipeline: Pipeline) -> Mapping[str, str]:
        """One workflow, named after the model, so that a repository can hold several."""
        options = pipeline.options

        def runner(job: Job) -> str:
            return (options.gpu_runner if job.gpu else None) or options.runner or _RUNNER

        text = render(
            "github.yml",
            pipeline=pipeline,
            options=options,
            actions=ACTIONS,
            conditions=_CONDITIONS,
            runner=runner,
        )
        return {f".github/workflows/headgate-{options.model.lower()}.yml": text}
