"""The providers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from control.ci.provider import Provider
from control.ci.providers.azure import Azure
from control.ci.providers.github import GitHub
from control.ci.providers.gitlab import GitLab
from control.ci.providers.jenkins import Jenkins

PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider for provider in (GitHub(), GitLab(), Jenkins(), Azure())
}
