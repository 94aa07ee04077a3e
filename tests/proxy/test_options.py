"""Tests of an agent's command line."""

from pathlib import Path

import pytest

from proxy.launch import ADMIN_FD_VARIABLE, PARENT_FD_VARIABLE
from proxy.options import parse_options


def test_least_that_is_needed() -> None:
    """A configuration alone: real workers, no control, no descriptors."""
    options = parse_options(["--config", "c.yaml"], {})

    assert options.config == Path("c.yaml")
    assert (options.state, options.control, options.admin_fd, options.parent_fd) == (None, None, None, None)
    assert options.worker_command[-1] == "proxy.worker"
    assert options.signals


def test_what_a_supervisor_gives() -> None:
    """State, control's socket and the inherited descriptors."""
    options = parse_options(
        ["--config", "c.yaml", "--state", "s", "--control", "s/control.sock"],
        {ADMIN_FD_VARIABLE: "5", PARENT_FD_VARIABLE: "6"},
    )

    assert (options.state, options.control) == (Path("s"), Path("s/control.sock"))
    assert (options.admin_fd, options.parent_fd) == (5, 6)


def test_configuration_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a configuration there is nothing to run."""
    with pytest.raises(SystemExit) as error:
        parse_options([], {})

    assert error.value.code == 2
    assert "--config" in capsys.readouterr().err
