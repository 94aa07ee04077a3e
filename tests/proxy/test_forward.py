"""Tests of what may be asked of control through the admin address."""

import pytest

from proxy.auth import DeniedError
from proxy.forward import check_path


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/rollouts",
        "/v1/rollouts/fraud%20route/promote",
        "/v1/decisions?rollout=a&x=../..",
        "/static/app.js",
        "/v1/",
        "/v1/configuration",
        "/v1/rollouts/%C3%BC",
    ],
)
def test_public_paths_pass(path: str) -> None:
    """What is written plainly is control's to answer."""
    check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/config",
        "/v1/config/",
        "/v1/config?x=1",
        "/v1/watch?revision=0",
        "/v1/statistics",
        "/v1/statistics/x",
        "/v1/%63onfig",
        "/%76%31/watch",
    ],
)
def test_the_agents_own_paths_do_not(path: str) -> None:
    """Tables and statistics come from the agent only, however the path is spelt."""
    with pytest.raises(DeniedError) as error:
        check_path(path)

    assert (error.value.status, error.value.code) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        "//v1/config",
        "/v1//config",
        "/v1/./config",
        "/v1/x/../config",
        "/v1%2fconfig",
        "/v1%5Cconfig",
        "/v1/%2e%2e/v1/config",
        "/v1/config%00",
        "/v1\\config",
        "v1/config",
        "*",
    ],
)
def test_disguised_paths_do_not(path: str) -> None:
    """A path that two programs could read differently is refused before either reads it."""
    with pytest.raises(DeniedError) as error:
        check_path(path)

    assert (error.value.status, error.value.code) == (400, "path_invalid")
