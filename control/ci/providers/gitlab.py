"""GitLab CI/CD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from control.ci.options import PipelineOptions
from control.ci.pipeline import Job, Pipeline, When
from control.ci.provider import Provider, UnsupportedOptionError, render

# Full versions: what a shorter tag means changes from week to week.
_IMAGES: Final[Mapping[str, str]] = {
    "3.11": "python:3.11.13-slim-bookworm",
    "3.12": "python:3.12.11-slim-bookworm",
    "3.13": "python:3.13.5-slim-bookworm",
}
_RULES: Final = {When.CHANGE: ".change", When.RELEASE: ".release", When.SCHEDULE: ".schedule"}


class GitLab(Provider):
    """`.gitlab-ci.yml`."""

    name: ClassVar[str] = "gitlab"
    title: ClassVar[str] = "GitLab CI/CD"

    def files(self, pipeline: Pipeline) -> Mapping[str, str]:
        """One file at the root of the repository."""
        options = pipeline.options
        self.oidc_only(options, "aws", "azure")

        def tag(job: Job) -> str | None:
            return (options.gpu_runner if job.gpu else None) or options.runner

        text = render(
            "gitlab.yml",
            pipeline=pipeline,
            options=options,
            images=_images(options),
            rules=_RULES,
            tag=tag,
        )
        return {".gitlab-ci.yml": text}


def _images(options: PipelineOptions) -> list[str]:
    """The container for each version of Python."""
    if options.image is not None:
        if len(options.python) > 1:
            raise UnsupportedOptionError(
                "image", f"one image for {len(options.python)} versions of Python", "leave image out"
            )
        return [options.image]
    unknown = [version for version in options.python if version not in _IMAGES]
    if unknown:
        raise UnsupportedOptionError("python", f"no image is known for {unknown[0]}", "name one with image")
    return [_IMAGES[version] for version in options.python]
