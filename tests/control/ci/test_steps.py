"""All platforms run the same shell, in the same order, with the same environment."""

from __future__ import annotations

import pytest

from control.ci.catalogue import PROVIDERS
from tests.control.ci.combinations import covering_options, files_of
from tests.control.ci.extraction import Shell, steps

JOBS = ("validate", "register", "request_approval", "shadow_staging", "release_staging", "release_production")


def essence(shell: Shell) -> tuple[str, str, bool, dict[str, str]]:
    own = {
        name: value
        for name, value in shell.environment.items()
        if not name.startswith(("PIP_", "GIT_", "AWS_", "AZURE_", "HEADGATE_ADMIN", "HEADGATE_TOKEN"))
    }
    return shell.job, shell.plain, shell.on_failure, own


@pytest.mark.parametrize("provider", PROVIDERS)
def test_platforms_differ_in_what_they_put_around_the_shell_only(provider: str) -> None:
    """So that what is proved of one platform's steps holds for all."""
    for options in covering_options():
        if options.get("oidc"):
            continue
        wanted = [essence(shell) for shell in steps("github", files_of("github", options)) if _is_ours(shell)]
        found = [essence(shell) for shell in steps(provider, files_of(provider, options)) if _is_ours(shell)]

        assert wanted
        assert found == wanted


def _is_ours(shell: Shell) -> bool:
    return "headgate " in shell.script
