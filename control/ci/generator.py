"""`CITemplateGenerator`: the Python face of generated pipelines, used by the command, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from control.ci.catalogue import PROVIDERS
from control.ci.choose import OptionsError, check
from control.ci.marker import Marked, mark, read
from control.ci.options import PipelineOptions
from control.ci.pipeline import build
from control.ci.provider import Provider
from control.ci.writer import Drift, drift, write
from control.errors import NotFoundError


class CITemplateGenerator:
    """Pipelines of one model.

    >>> generator = CITemplateGenerator(model="fraud")
    >>> sorted(generator.generate("azure"))
    ['.azure/headgate-setup.yml', 'azure-pipelines.yml']
    """

    def __init__(
        self, options: PipelineOptions | None = None, *, version: str | None = None, **values: Any
    ) -> None:
        """Take options as a value or as keywords; `version` is that of Headgate, by default this one.

        Raises:
            OptionsError: an option is misspelt or not allowed; it names each mistake.
        """
        self.options = check(values) if options is None else options
        self._version = version or _own_version()
        if self._version == "unknown" and self.options.headgate is None:
            # Run from files that were never installed: there is no version to pin.
            raise OptionsError(["headgate: this Headgate has no version; name one: headgate==VERSION"])

    @staticmethod
    def providers() -> tuple[str, ...]:
        """The names of the platforms."""
        return tuple(PROVIDERS)

    def generate(self, provider: str) -> dict[str, str]:
        """Text by path in the repository; the same options give the same bytes.

        Raises:
            NotFoundError: there is no such platform.
            UnsupportedOptionError: the platform cannot do what the options ask for.
        """
        platform = _platform(provider)
        bodies = platform.files(build(self.options, self._version))
        return {
            path: mark(body, provider=provider, options=self.options.to_json(), comment=platform.comment)
            for path, body in bodies.items()
        }

    def write(self, provider: str, root: Path | str = ".", *, force: bool = False) -> list[str]:
        """Write the files below `root`; returns the paths that changed.

        Raises:
            RefusedError: a file was edited or is not ours, and `force` is not given. Nothing was written.
            NotFoundError, UnsupportedOptionError, OSError: as above.
        """
        return write(Path(root), self.generate(provider), _platform(provider).comment, force=force)

    def drift(self, provider: str, root: Path | str = ".") -> list[Drift]:
        """The files below `root` that are not as they would be written."""
        return drift(Path(root), self.generate(provider))


def recorded(provider: str, root: Path) -> Mapping[str, Any] | None:
    """The options that the files of a platform below `root` were written from; None when there are none.

    Of several models in one repository, the first by name; name the model to mean another one.
    """
    platform = _platform(provider)
    candidates = (
        sorted((root / ".github" / "workflows").glob("headgate-*.yml")) if provider == "github" else []
    )
    candidates += [root / name for name in (".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml")]
    for path in candidates:
        marked = _marked(path, platform)
        if marked is not None and marked.provider == provider:
            return marked.options
    return None


def _marked(path: Path, platform: Provider) -> Marked | None:
    try:
        return read(path.read_text("utf-8", "surrogateescape"), platform.comment)
    except OSError:
        return None


def _platform(provider: str) -> Provider:
    found = PROVIDERS.get(provider)
    if found is None:
        raise NotFoundError(f"there is no platform {provider!r}", f"use one of: {', '.join(PROVIDERS)}")
    return found


def _own_version() -> str:
    from control.cli.commands.version import headgate_version

    return headgate_version()
